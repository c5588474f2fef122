// Package arch holds the import graph against the floor plan: a wrong arrow, an
// unplanned package, and an arrow or a package of the plan that does not exist, each
// fail its tests.
package arch

import (
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestImportsFollowThePlan(t *testing.T) {
	packages := load(t)
	for folder, pkg := range packages {
		room, planned := plan[folder]
		if !planned {
			t.Errorf("%s is not in the floor plan: give it a line in internal/arch/plan_test.go, or another place", folder)
			continue
		}
		may := slices.Concat(room.own, room.modules)
		check(t, folder, "", pkg.Imports, may, room.outside)
		mayTest := slices.Concat(may, room.tests, everyTest, []string{folder})
		tests := slices.Concat(pkg.TestImports, pkg.XTestImports)
		check(t, folder, "the tests of ", tests, mayTest, nil)
		unused(t, folder, "", pkg.Imports, may)
		unused(t, folder, "the tests of ", tests, room.tests)
	}
	for folder := range plan {
		if packages[folder] == nil {
			t.Errorf("%s is in the floor plan but has no Go files: take its line out of internal/arch/plan_test.go", folder)
		}
	}
}

func check(t *testing.T, folder, who string, imports, may, outside []string) {
	t.Helper()
	for _, path := range imports {
		if wrongArrow(path, may, outside) {
			t.Errorf("%s%s may not import %s", who, folder, path)
		}
	}
}

// unused wants every arrow of the plan to be there: one that nobody needs only lets
// a wrong import by.
func unused(t *testing.T, folder, who string, imports, may []string) {
	t.Helper()
	for _, root := range may {
		if !slices.ContainsFunc(imports, func(path string) bool { return path == module+"/"+root || under(path, []string{root}) }) {
			t.Errorf("%s%s may import %s and does not: take the arrow out of internal/arch/plan_test.go", who, folder, root)
		}
	}
}

func wrongArrow(path string, may, outside []string) bool {
	if own, ok := strings.CutPrefix(path, module+"/"); ok {
		return !exactly(own, may)
	}
	if standard(path) {
		return slices.Contains(outside, path)
	}
	return !under(path, may)
}

// exactly lets tests import below internal/testkit, and nothing else below what
// is allowed: a folder's subfolder is a package of its own.
func exactly(own string, may []string) bool {
	return slices.Contains(may, own) || own == "internal/testkit/peers" && slices.Contains(may, "internal/testkit")
}

func under(path string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return path == root || strings.HasPrefix(path, root+"/")
	})
}

// standard tells the standard library by the lack of a dot in the first element,
// as the go command does.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// load reads every package of the module by its folder. It opens the files
// itself, rather than ask the go command, so that go test knows what a cached
// result depends on.
func load(t *testing.T) map[string]*build.Package {
	t.Helper()
	linux := build.Default
	linux.GOOS = "linux" // the same arrows wherever this runs
	packages := map[string]*build.Package{}
	walk(t, func(root, folder string) {
		pkg, err := linux.ImportDir(filepath.Join(root, folder), 0)
		if errors.As(err, new(*build.NoGoError)) {
			return
		}
		if err != nil {
			t.Fatalf("read package %s: %v", folder, err)
		}
		packages[folder] = pkg
	})
	return packages
}

// walk visits the folders that the module's packages can be in.
func walk(t *testing.T, visit func(root, folder string)) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		folder, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name := entry.Name()
		hidden := name != ".." && strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules"
		_, err = os.Stat(filepath.Join(path, "go.mod"))
		if anotherModule := err == nil && folder != "."; hidden || anotherModule {
			return filepath.SkipDir
		}
		visit(root, filepath.ToSlash(folder))
		return nil
	})
	if err != nil {
		t.Fatalf("walk the module: %v", err)
	}
}

func TestBinaryLinksNoOtherBinarysParts(t *testing.T) {
	load(t) // for go test's cache: what is linked depends on all of it
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", module+"/cmd/signet")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("list what cmd/signet links: %v\n%s", err, stderr.String())
	}
	for path := range strings.Lines(string(output)) {
		if path = strings.TrimSpace(path); under(path, neverLinked) {
			t.Errorf("cmd/signet links %s", path)
		}
	}
}

// Certificates are verified in tests too: they have an authority of their own.
func TestVerificationIsNeverSwitchedOff(t *testing.T) {
	const banned = "InsecureSkipVerify"
	files := token.NewFileSet()
	walk(t, func(root, folder string) {
		paths, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Errorf("parse %s: %v", path, err)
				continue
			}
			ast.Inspect(file, func(node ast.Node) bool {
				if name, ok := node.(*ast.Ident); ok && name.Name == banned {
					t.Errorf("%v: %s", files.Position(name.Pos()), banned)
				}
				return true
			})
		}
	})
}

func TestWrongArrows(t *testing.T) {
	tests := map[string]struct {
		imports, may, outside []string
		wrong                 bool
	}{
		"allowed":             {imports: []string{"fmt", module + "/receipts", "go.etcd.io/bbolt/errors"}, may: []string{"receipts", "go.etcd.io/bbolt"}},
		"another package":     {imports: []string{module + "/resolver"}, may: []string{"receipts"}, wrong: true},
		"a subfolder":         {imports: []string{module + "/receipts/journal"}, may: []string{"receipts"}, wrong: true},
		"another module":      {imports: []string{"github.com/miekg/dns"}, wrong: true},
		"a similar module":    {imports: []string{"go.etcd.io/bboltx"}, may: []string{"go.etcd.io/bbolt"}, wrong: true},
		"standard, outside":   {imports: []string{"net/http"}, outside: []string{"net/http"}, wrong: true},
		"standard, not quite": {imports: []string{"net/netip"}, outside: []string{"net"}},
		"peers in a test":     {imports: []string{module + "/internal/testkit/peers"}, may: everyTest},
		"testkit in a binary": {imports: []string{module + "/internal/testkit"}, may: plan["cmd/signet"].own, wrong: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wrong := slices.ContainsFunc(test.imports, func(path string) bool {
				return wrongArrow(path, test.may, test.outside)
			})
			if wrong != test.wrong {
				t.Errorf("wrong: %t; want %t", wrong, test.wrong)
			}
		})
	}
}
