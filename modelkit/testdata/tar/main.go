// Writes the tree of tree.txt to disk and archives it as `kit pack` does (Go's archive/tar; owner 1000:0; no times); prints
// the digest of the archive, and the digests of the headers of files that are too large for a test.
//
//	go run main.go > digests.txt      (Go 1.26.8)
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func header(info fs.FileInfo, path string) *tar.Header {
	header, err := tar.FileInfoHeader(info, "")
	check(err)
	header.Name, header.Uid, header.Gid, header.Uname, header.Gname = path, 1000, 0, "", ""
	header.ModTime, header.AccessTime, header.ChangeTime = time.Time{}, time.Time{}, time.Time{}
	return header
}

func main() {
	syscall.Umask(0o022)
	list, err := os.Open("tree.txt")
	check(err)
	root, err := os.MkdirTemp("", "tree")
	check(err)
	defer os.RemoveAll(root)
	for lines := bufio.NewScanner(list); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		var mode, size int
		_, err := fmt.Sscanf(lines.Text(), "%o %d", &mode, &size)
		check(err)
		path := strings.SplitN(lines.Text(), " ", 3)[2]
		content := make([]byte, size)
		for i := range content {
			content[i] = byte((7*i + len(path)) % 251)
		}
		// Our own packing knows two modes only, so 0600 is 0644 here.
		if mode&0o100 == 0 {
			mode = 0o644
		}
		check(os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755))
		check(os.WriteFile(filepath.Join(root, path), content, fs.FileMode(mode)))
	}

	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	check(os.Chdir(root))
	check(filepath.Walk(".", func(path string, info fs.FileInfo, err error) error {
		if err != nil || path == "." {
			return err
		}
		if err := writer.WriteHeader(header(info, path)); err != nil || info.IsDir() {
			return err
		}
		file, err := os.Open(path)
		check(err)
		defer file.Close()
		_, err = io.Copy(writer, file)
		return err
	}))
	check(writer.Close())
	fmt.Printf("%d %x tree.txt\n", archive.Len(), sha256.Sum256(archive.Bytes()))

	slash := strings.Repeat("n", 99) + "/" + strings.Repeat("m", 120)
	split := strings.Repeat("p", 150) + "/" + strings.Repeat("n", 90)
	for _, path := range []string{"a", "a/b", "é/ü", slash, split} {
		for _, size := range []int64{1<<33 - 1, 1 << 33, 1 << 40} {
			var bytes bytes.Buffer
			check(tar.NewWriter(&bytes).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Size: size, Mode: 0o644, Uid: 1000}))
			fmt.Printf("%d %x %d %s\n", bytes.Len(), sha256.Sum256(bytes.Bytes()), size, path)
		}
	}
}
