// Package ruleset loads a policy directory, with its contracts and schemas, into
// one immutable, versioned value.
package ruleset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gowebpki/jcs"

	"github.com/signet-egress/signet/internal/payload"
	"github.com/signet-egress/signet/internal/policy"
)

// maxBytes bounds all files of a policy together. Ten thousand rules take about
// two megabytes; what is larger is a wrong path.
const maxBytes = 16_000_000

// Set is what one exchange is decided by, from its start to its end.
type Set struct {
	Policy    *policy.Policy
	Contracts *payload.Set
	Version   string // "sha256:" and the digest of the files, see version
}

// Load reads a policy file, or the *.yaml and *.yml files of a directory and the
// *.json files beside them, which are the schemas of its contracts. In a mounted
// ConfigMap or Secret all files are of one generation. An empty file is
// a policy that denies everything; a directory without a policy file is an
// error. Errors of the files themselves are those of policy.Compile, or where
// there are none of payload.Compile, joined.
func Load(path string) (*Set, error) { return (*Set)(nil).Reload(path) }

// Reload is Load, and returns s itself where its files are the same still: to
// compile ten thousand rules takes a hundred times longer than to read them.
func (s *Set) Reload(path string) (*Set, error) {
	if path == "" {
		return nil, errors.New("no policy is named; set policy in the configuration, SIGNET_POLICY in the environment, or --policy")
	}
	files, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	v, err := version(files)
	if err != nil {
		return nil, fmt.Errorf("compute the policy's version: %w", err)
	}
	if s != nil && s.Version == v {
		return s, nil
	}
	set, err := compile(files, v)
	if err != nil {
		return nil, fmt.Errorf("policy %s is not usable:\n%w", path, err)
	}
	return set, nil
}

// ReportAll is the policy where there is none: no rule, in report mode, so that
// everything is carried and recorded as what would be denied.
func ReportAll() *Set {
	set, err := made([]policy.File{{Path: "report-all.yaml", Data: []byte("version: 1\nmode: report\n")}})
	if err != nil {
		panic(err) // the text above is wrong
	}
	return set
}

// made compiles files that stand on no disk.
func made(files []policy.File) (*Set, error) {
	v, err := version(files)
	if err != nil {
		return nil, fmt.Errorf("compute the policy's version: %w", err)
	}
	return compile(files, v)
}

func compile(files []policy.File, version string) (*Set, error) {
	texts, schemas := separate(files)
	p, err := policy.Compile(texts)
	if err != nil {
		return nil, err
	}
	contracts, err := payload.Compile(texts, schemas, p)
	if err != nil {
		return nil, err
	}
	return &Set{Policy: p, Contracts: contracts, Version: version}, nil
}

// separate tells policy files from schemas.
func separate(files []policy.File) (texts, schemas []policy.File) {
	for _, f := range files {
		if filepath.Ext(f.Path) == ".json" {
			schemas = append(schemas, f)
		} else {
			texts = append(texts, f)
		}
	}
	return texts, schemas
}

// version is "sha256:" over the canonical JSON (RFC 8785) of [{path, sha256}],
// sorted by path, where path is relative to the directory, or the name of the
// one file, and sha256 is the lower-case hexadecimal digest of the content.
func version(files []policy.File) (string, error) {
	type member struct {
		Path   string `json:"path"`
		SHA256 string `json:"sha256"`
	}
	members := make([]member, len(files))
	for i, f := range files {
		sum := sha256.Sum256(f.Data)
		members[i] = member{Path: f.Path, SHA256: hex.EncodeToString(sum[:])}
	}
	plain, err := json.Marshal(members)
	if err != nil {
		return "", err
	}
	canonical, err := jcs.Transform(plain)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(canonical)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// read returns the files of a policy, sorted by path.
func read(path string) ([]policy.File, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s does not exist; name a policy file or a directory of them", path)
	case err != nil:
		return nil, err
	case !info.IsDir():
		data, err := readFile(path, maxBytes)
		if err != nil {
			return nil, err
		}
		return []policy.File{{Path: filepath.Base(path), Data: data}}, nil
	}
	return readDir(path)
}

func readDir(dir string) ([]policy.File, error) {
	generation, err := currentGeneration(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(generation)
	if err != nil {
		return nil, err
	}
	var files []policy.File
	policies, left := 0, maxBytes
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasPrefix(name, "."):
			continue
		case e.IsDir():
			return nil, fmt.Errorf("%s is a directory; policy files stand side by side in %s, and are not looked for below it", filepath.Join(dir, name), dir)
		case filepath.Ext(name) == ".yaml" || filepath.Ext(name) == ".yml":
			policies++
		case filepath.Ext(name) != ".json":
			continue
		}
		data, err := readFile(filepath.Join(generation, name), left)
		if err != nil {
			return nil, err
		}
		left -= len(data)
		files = append(files, policy.File{Path: name, Data: data})
	}
	if policies == 0 {
		return nil, fmt.Errorf("%s has no *.yaml or *.yml file; to deny everything, put an empty one there", dir)
	}
	slices.SortFunc(files, func(a, b policy.File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// currentGeneration follows ..data, through which Kubernetes swaps all files of
// a mounted volume at once: a read that went file by file through the links
// could mix two generations.
func currentGeneration(dir string) (string, error) {
	data := filepath.Join(dir, "..data")
	if _, err := os.Lstat(data); errors.Is(err, fs.ErrNotExist) {
		return dir, nil
	}
	return filepath.EvalSymlinks(data)
}

// readFile reads a regular file of at most limit bytes.
func readFile(path string, limit int) ([]byte, error) {
	info, err := os.Stat(path) // before opening: to open a named pipe is to wait for its writer
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(data) > limit {
		return nil, fmt.Errorf("%s is too large: a policy is at most %d bytes in all", path, maxBytes)
	}
	return data, nil
}
