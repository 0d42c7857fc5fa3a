"""What the licence audit reads: claims, notices, opt-outs and lineage, in records and in files."""
