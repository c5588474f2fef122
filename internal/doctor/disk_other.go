//go:build !linux && !darwin && !freebsd

package doctor

func disk(dir string) Check {
	return Check{Group: "disk", Name: dir, Status: Yellow, Detail: "free space is not read on this system", Fix: "look yourself"}
}
