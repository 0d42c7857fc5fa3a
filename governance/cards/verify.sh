#!/bin/sh
# Verifies a bundle of Pramana with a POSIX shell, openssl 3, sha256sum and base64: nothing of ours.
#
#     sh verify.sh [BUNDLE]      the folder this file lies in, when none is named
#
# Every bundle carries the same script; run your own copy if you have one. It believes the root key
# in keys/: compare that, or the whole trust.json, with what you were given by another way.
# Exit status: 0 it holds, 4 something was altered, 5 something is missing.
set -eu
export LC_ALL=C
cd "${1:-$(dirname "$0")}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

held() { printf '\342\234\223 %s\n' "$1"; }
altered() { printf '\342\234\225 %s\n' "$1" >&2; exit 4; }
present() { [ -f "$1" ] || { printf '\342\234\225 %s is missing\n' "$1" >&2; exit 5; }; }
whole_number() { case $1 in '' | *[!0-9]* | 0?* | ???????????????????*) altered "$2: $1 is no number" ;; esac; }

# Our JSON is canonical (RFC 8785): one line without an end, keys sorted, no space, so that a field
# can be cut out of it.
field() { sed -n 's/.*"'"$2"'":"\([^"]*\)".*/\1/p' "$1"; }
digest() { sha256sum <"$1" | cut -c1-64; }
said() { grep -qF -e "$1" "$2" || altered "$3"; }

# A statement is a Sigstore bundle with a DSSE envelope, whose signature is over the
# pre-authentication encoding of its payload. Source: DSSE protocol v1.0.2.
signed() { # FILE ROLE; leaves the payload in $scratch/payload
  present "$1"
  keyid=$(field "$1" keyid | cut -c1-16)
  case $keyid in '' | *[!0-9a-f]*) altered "$1 names no key" ;; esac
  key=keys/$2-$keyid.pub
  [ -f "$key" ] || altered "$1 is not signed by a $2 key of this bundle"
  kind=$(field "$1" payloadType)
  field "$1" payload | base64 -d >"$scratch/payload" || altered "$1: its payload is not base64"
  field "$1" sig | base64 -d >"$scratch/sig" || altered "$1: its signature is not base64"
  printf 'DSSEv1 %d %s %d ' "${#kind}" "$kind" "$(wc -c <"$scratch/payload")" >"$scratch/pae"
  cat "$scratch/payload" >>"$scratch/pae"
  openssl dgst -sha256 -verify "$key" -signature "$scratch/sig" "$scratch/pae" >/dev/null 2>&1 ||
    altered "$1 is not what $key signed"
  held "$1: signed by $key"
}

# 1. The files are those listed, and the list is signed.
present SHA256SUMS
[ -z "$(find . ! -type f ! -type d)" ] || altered "there is a link, or something that is no file"
sha256sum -c SHA256SUMS >/dev/null 2>"$scratch/why" || altered "a file is not the one listed: $(cat "$scratch/why")"
find . -type f | cut -c3- | grep -vx -e SHA256SUMS -e card.json | sort >"$scratch/found"
cut -c67- SHA256SUMS | sort >"$scratch/listed"
cmp -s "$scratch/found" "$scratch/listed" || altered "a file was added, or is listed twice"
held "SHA256SUMS: every file is the one listed, none was added"
signed card.json card
said "\"$(digest SHA256SUMS)\"" "$scratch/payload" "card.json does not sign this list"

# 2. The keys here are those of the trust file, each in its role, and a root key signed it.
signed trust.json root
cp "$scratch/payload" "$scratch/trust"
for key in keys/*.pub; do
  name=${key#keys/} && name=${name%.pub}
  role=${name%-*} id=${name##*-}
  case $role in
  log | witness) public=$(openssl pkey -pubin -in "$key" -outform DER | tail -c 32 | od -An -tx1 | tr -d ' \n') ;;
  *) public=$(tr '\n' '~' <"$key" | sed 's/~*$//; s/~/\\\\n/g') ;;
  esac
  entry="\"id\":\"${id}[0-9a-f]*\",\"key\":{\"keytype\":\"[a-z0-9]*\",\"keyval\":{\"public\":\"${public}[\\n]*\"}"
  entry="$entry,\"scheme\":\"[^\"]*\"},\"person\":\"[^\"]*\",\"role\":\"$role\","
  grep -q -e "$entry" "$scratch/trust" || altered "$key is not the $role key that trust.json names"
done
held "keys: each is named in trust.json, for its role"

# 3. What was measured, decided, cleared and trained is signed, and speaks of these files.
decision=$(digest evidence/decision.json)
signed evidence/audits.sigstore.json auditor
said "\"findings\":\"$(digest evidence/findings.json)\"" "$scratch/payload" "the auditor signed other findings"
signed evidence/decision.sigstore.json gate
said "\"decision\":\"$decision\"" "$scratch/payload" "the gate signed another decision"
signed evidence/clearance.json gate
said "\"decision\":\"$decision\"" "$scratch/payload" "the clearance is of another decision"
clearance=$(digest "$scratch/payload")
if [ -f evidence/drawn.json ]; then
  signed evidence/drawn.sigstore.json auditor
  said "\"$(digest evidence/drawn.json)\"" "$scratch/payload" "the auditor signed for another drawn.json"
  said "\"result\":\"$(digest evidence/result.json)\"" evidence/drawn.json "what was drawn is of another run"
fi
signed evidence/provenance.json trainer
said "\"$(digest evidence/result.json)\"" "$scratch/payload" "the trainer signed another result"
said "\"clearance\":\"$clearance\"" evidence/result.json "the run was under another clearance"
run=$(field evidence/result.json run)
cp "$scratch/payload" "$scratch/provenance"
signed bom.sigstore.json card
sed -n 's/^{"_type":"[^"]*","predicate":\(.*\),"predicateType":.*/\1/p' "$scratch/payload" | tr -d '\n' |
  cmp -s - bom.cdx.json || altered "bom.cdx.json is not the bill of materials that was signed"
signed model.sig card
tr '{' '\n' <"$scratch/payload" | sed -n \
  's/^"algorithm":"sha256","digest":"\([0-9a-f]*\)","name":"\([^"]*\)"}.*/\1  \2/p' >"$scratch/model"
[ -s "$scratch/model" ] || altered "model.sig lists no file"
sha256sum -c "$scratch/model" >/dev/null 2>&1 || altered "a file of the model is not the one signed"
while read -r found name || [ -n "$found" ]; do
  said "\"$found\"" "$scratch/provenance" "the trainer did not sign $name"
done <"$scratch/model"
held "model: each file is signed for by the trainer too"
for file in evidence/waivers/*/*.sigstore.json; do
  [ -f "$file" ] || continue
  role=$(find keys -name "*-$(field "$file" keyid | cut -c1-16).pub" | sed 's|keys/||; s|-[0-9a-f]*\.pub$||')
  signed "$file" "$role"
done

# 4. The checkpoint: three lines or more, an empty line, signature lines (C2SP signed-note).
present ledger/checkpoint
sed '/^$/,$d' ledger/checkpoint >"$scratch/text"
sed '1,/^$/d' ledger/checkpoint >"$scratch/lines"
size=$(sed -n 2p "$scratch/text")
whole_number "$size" ledger/checkpoint
sed -n 3p "$scratch/text" | base64 -d >"$scratch/root" || altered "ledger/checkpoint has no root"
logs=0 witnesses=0
while read -r _ name line || [ -n "$line" ]; do
  printf '%s\n' "$line" | base64 -d >"$scratch/line" || altered "a line of ledger/checkpoint is not base64"
  tail -c 64 "$scratch/line" >"$scratch/sig"
  cp "$scratch/text" "$scratch/message"
  role=log seen=''
  if [ "$(wc -c <"$scratch/line")" -eq 76 ]; then # four bytes of key id, eight of time: cosignature/v1
    role=witness time=0
    for byte in $(tail -c 72 "$scratch/line" | dd bs=8 count=1 2>/dev/null | od -An -tu1); do
      time=$((time * 256 + byte))
    done
    printf 'cosignature/v1\ntime %s\n' "$time" | cat - "$scratch/text" >"$scratch/message"
    seen=" at POSIX time $time"
  fi
  for key in keys/"$role"-*.pub; do
    [ -f "$key" ] || continue
    openssl pkeyutl -verify -pubin -inkey "$key" -rawin -in "$scratch/message" \
      -sigfile "$scratch/sig" >/dev/null 2>&1 || continue
    held "ledger/checkpoint: $size acts, signed by $key$seen"
    if [ "$role" = log ]; then logs=$((logs + 1)); else witnesses=$((witnesses + 1)); fi
  done
done <"$scratch/lines"
[ "$logs" -gt 0 ] || altered "ledger/checkpoint is not signed by a log key of this bundle"
needed=$(sed -n 's/.*"witnesses":\([0-9]*\)}*$/\1/p' "$scratch/trust")
whole_number "$needed" trust.json
[ "$witnesses" -ge "$needed" ] || altered "$witnesses witness(es) cosigned the checkpoint; trust.json asks for $needed"
grep -qF "\"origin\":\"$(sed -n 1p "$scratch/text")\"" "$scratch/trust" || altered "the checkpoint is of another ledger"

# 5. Each act stands in the tree of that checkpoint (RFC 9162, section 2.1.3.2), and says this.
act() { # NAME SAID...
  name=$1 leaf=ledger/$1.leaf proof=ledger/$1.tlog-proof
  present "$leaf" && present "$proof"
  sed '1,/^$/d' "$proof" | cmp -s - ledger/checkpoint || altered "$proof is of another checkpoint"
  sed '/^$/,$d' "$proof" >"$scratch/head"
  index=$(sed -n 's/^index //p' "$scratch/head")
  whole_number "$index" "$proof"
  low=$index high=$((size - 1))
  [ "$low" -le "$high" ] || altered "$proof: there is no act $index of $size"
  { printf '\000' && cat "$leaf"; } | openssl dgst -sha256 -binary >"$scratch/node"
  sed '1,/^index /d' "$scratch/head" >"$scratch/path"
  while read -r step || [ -n "$step" ]; do
    printf '%s\n' "$step" | base64 -d >"$scratch/step" || altered "$proof: a hash is not base64"
    [ "$high" -gt 0 ] || altered "$proof is longer than the tree is high"
    [ "$(wc -c <"$scratch/step")" -eq 32 ] || altered "$proof: a hash has not 32 bytes"
    if [ $((low & 1)) -eq 1 ] || [ "$low" -eq "$high" ]; then
      { printf '\001' && cat "$scratch/step" "$scratch/node"; } | openssl dgst -sha256 -binary >"$scratch/next"
      while [ $((low & 1)) -eq 0 ] && [ "$low" -gt 0 ]; do low=$((low >> 1)) high=$((high >> 1)); done
    else
      { printf '\001' && cat "$scratch/node" "$scratch/step"; } | openssl dgst -sha256 -binary >"$scratch/next"
    fi
    mv "$scratch/next" "$scratch/node"
    low=$((low >> 1)) high=$((high >> 1))
  done <"$scratch/path"
  [ "$high" -eq 0 ] || altered "$proof is shorter than the tree is high"
  cmp -s "$scratch/node" "$scratch/root" || altered "$leaf is not act $index of the ledger"
  said "\"number\":$index}" "$leaf" "$leaf does not carry the number of act $index"
  for what; do [ "$what" = "$name" ] || said "$what" "$leaf" "$leaf speaks of something else"; done
  held "$leaf: act $index of the ledger"
}
act decided '"kind":"decided"' "\"decision\":\"$decision\""
act cleared '"kind":"cleared"' "\"clearance\":\"$clearance\""
act clearance.spent '"kind":"clearance.spent"' "\"clearance\":\"$clearance\"" "\"run\":\"$run\""
act run.finished '"kind":"run.finished"' "\"run\":\"$run\"" "\"result\":\"$(digest evidence/result.json)\""
if [ -f evidence/drawn.json ]; then
  act drawn '"kind":"drawn"' "\"run\":\"$run\"" "\"sha256\":\"$(digest evidence/drawn.json)\""
fi
for leaf in ledger/waiver-*.leaf; do
  [ -f "$leaf" ] || continue
  leaf=${leaf#ledger/} && leaf=${leaf%.leaf}
  act "$leaf" '"kind":"waiver.'
done
if [ -f evidence/withdrawals.json ]; then
  tr '{' '\n' <evidence/withdrawals.json | sed -n 's/.*"record":"\([0-9a-f]*\)".*/\1/p' >"$scratch/records"
  while read -r record || [ -n "$record" ]; do
    act "withdrawn-$(printf '%s' "$record" | cut -c1-12)" '"kind":"withdrawn"' "\"record\":\"$record\""
  done <"$scratch/records"
fi

cat <<'NOT'

Not checked here:
- whose keys these are: compare keys/root-*.pub or trust.json with what you were given otherwise
- whether a key was revoked since: a newer trust.json says so
- that README.md and bom.cdx.json say what the evidence says, and that the approvals of a waiver were
  enough: `pramana verify` does that
- that what was said is true: a licence claimed, a detector's silence
NOT
