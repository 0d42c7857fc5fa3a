// Reads what Pramana writes with tools that are not Pramana's: golang.org/x/mod/sumdb/note and
// sumdb/tlog, which verify Go's own checksum database. Ends with status 1 on anything it refuses.
//
//	reader checkpoint NOTE VKEY...          each key signed or cosigned it
//	reader proof      PROOF LEAF VKEY...    the leaf is in the tree of the proof's checkpoint
//	reader grown      OLD NEW VKEY HASH...  the tree of one checkpoint extends the other's
//	reader mirror     FOLDER VKEY...        every entry and tile is what the checkpoint says
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// witness verifies cosignature/v1 lines (type 0x04), which x/mod does not know.
// Source: c2sp.org/tlog-cosignature.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }

func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(signature)
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", at, text)
	return ed25519.Verify(w.key, []byte(message), signature[8:])
}

func verifier(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("%q is no verifier key", vkey)
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != 0x04 {
		return note.NewVerifier(vkey) // an ordinary one, or none
	}
	named := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	if parts[1] != fmt.Sprintf("%x", named[:4]) {
		return nil, fmt.Errorf("%q has another hint than its key", vkey)
	}
	return witness{parts[0], binary.BigEndian.Uint32(named[:4]), key[1:]}, nil
}

// open returns the tree in a checkpoint that every one of the keys signed.
func open(data []byte, vkeys []string) (tree tlog.Tree, err error) {
	if len(vkeys) == 0 {
		return tree, errors.New("name a key")
	}
	var verifiers []note.Verifier
	for _, vkey := range vkeys {
		known, err := verifier(vkey)
		if err != nil {
			return tree, err
		}
		verifiers = append(verifiers, known)
	}
	opened, err := note.Open(data, note.VerifierList(verifiers...))
	if err != nil {
		return tree, err
	}
	if len(opened.Sigs) != len(vkeys) {
		return tree, fmt.Errorf("%d of %d keys signed", len(opened.Sigs), len(vkeys))
	}
	lines := strings.SplitN(opened.Text, "\n", 4)
	if len(lines) != 4 {
		return tree, errors.New("a checkpoint has three lines")
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

func proof(data, leaf []byte, vkeys []string) error {
	head, checkpoint, found := bytes.Cut(data, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("this is no tlog-proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	path, err := hashes(lines[2:])
	if err != nil {
		return err
	}
	tree, err := open(checkpoint, vkeys)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(leaf))
}

func grown(old, new []byte, vkey string, steps []string) error {
	before, err := open(old, []string{vkey})
	if err != nil {
		return err
	}
	now, err := open(new, []string{vkey})
	if err != nil {
		return err
	}
	path, err := hashes(steps)
	if err != nil {
		return err
	}
	return tlog.CheckTree(path, now.N, now.Hash, before.N, before.Hash)
}

func hashes(lines []string) (found []tlog.Hash, err error) {
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		found = append(found, hash)
	}
	return found, nil
}

// folder serves tiles to tlog, which checks each against the signed root before it uses it.
type folder string

func (f folder) Height() int { return 8 }

func (f folder) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1) // C2SP leaves the height out
		read, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil {
			return nil, err
		}
		data = append(data, read)
	}
	return data, nil
}

func (f folder) SaveTiles(tiles []tlog.Tile, data [][]byte) {}

func mirror(f folder, vkeys []string) error {
	data, err := os.ReadFile(filepath.Join(string(f), "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := open(data, vkeys)
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tree, f)
	for start := int64(0); start < tree.N; start += 256 {
		tile := tlog.Tile{H: 8, L: 0, N: start / 256, W: 256}
		if tree.N-start < 256 {
			tile.W = int(tree.N - start)
		}
		path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		bundle, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil {
			return err
		}
		if err := entries(bundle, start, tile.W, reader); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func entries(bundle []byte, start int64, width int, reader tlog.HashReader) error {
	var places []int64
	for i := 0; i < width; i++ {
		places = append(places, tlog.StoredHashIndex(0, start+int64(i)))
	}
	wanted, err := reader.ReadHashes(places)
	if err != nil {
		return err
	}
	for i := 0; i < width; i++ {
		if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
			return errors.New("it ends inside an entry")
		}
		length := 2 + int(binary.BigEndian.Uint16(bundle))
		if tlog.RecordHash(bundle[2:length]) != wanted[i] {
			return fmt.Errorf("entry %d is not the one in the tree", start+int64(i))
		}
		bundle = bundle[length:]
	}
	if len(bundle) != 0 {
		return errors.New("it holds more entries than it should")
	}
	return nil
}

func run(verb string, arguments []string) error {
	var files [][]byte
	count := map[string]int{"checkpoint": 1, "proof": 2, "grown": 2}[verb]
	if len(arguments) < count+1 {
		return errors.New("too few arguments")
	}
	for _, path := range arguments[:count] {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files = append(files, data)
	}
	rest := arguments[count:]
	switch verb {
	case "checkpoint":
		_, err := open(files[0], rest)
		return err
	case "proof":
		return proof(files[0], files[1], rest)
	case "grown":
		return grown(files[0], files[1], rest[0], rest[1:])
	case "mirror":
		return mirror(folder(rest[0]), rest[1:])
	}
	return fmt.Errorf("%q is no verb of this program", verb)
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: reader checkpoint|proof|grown|mirror ...")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
