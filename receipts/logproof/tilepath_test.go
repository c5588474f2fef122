package logproof_test

import (
	"testing"

	"github.com/signet-egress/signet/receipts/logproof"
)

// FuzzParseTilePath: a tile has one path, and whatever else is asked for is none.
func FuzzParseTilePath(f *testing.F) {
	for _, path := range []string{"0/000", "0/x001/x234/067", "5/000.p/255", "6/000", "-1/000", "data/000", "0/0", "0/000.p/256", "0/x000/001", "00/000", "", "0/x999/x999/x999/x999/x999/x999/999"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		tile, err := logproof.ParseTilePath(path)
		if err != nil {
			return
		}
		if tile.H != logproof.TileHeight || tile.L < 0 || tile.L > 5 || tile.N < 0 || tile.W < 1 || tile.W > 256 {
			t.Fatalf("%q is %+v", path, tile)
		}
		if again := logproof.TilePath(tile); again != path {
			t.Errorf("%q is the tile at %q", path, again)
		}
	})
}
