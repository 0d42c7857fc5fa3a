"""`python -m app` is `pramana`, for whoever has no script on the path."""

from app.cli import main

main()
