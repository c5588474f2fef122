// Command protogen writes the Go code of a .proto file beside it: protocompile
// reads the file, and the two official generators, pinned as tools of this
// module, write. It stands in for protoc, which is no Go program. With -check it
// only tells whether the code that is there is what it would write.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail where the code is not up to date")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: protogen [-check] FILE.proto")
		os.Exit(2)
	}
	publish := write
	if *check {
		publish = compare
	}
	if err := generate(context.Background(), flag.Arg(0), publish); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

func write(path string, code []byte) error { return os.WriteFile(path, code, 0o644) }

func compare(path string, code []byte) error {
	present, err := os.ReadFile(path)
	if err == nil && !bytes.Equal(present, code) {
		err = fmt.Errorf("%s is not up to date: run make generate", path)
	}
	return err
}

func generate(ctx context.Context, path string, publish func(path string, code []byte) error) error {
	dir, name := filepath.Split(path)
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{filepath.Clean(dir)}},
		SourceInfoMode: protocompile.SourceInfoStandard, // comments
	}
	files, err := compiler.Compile(ctx, name)
	if err != nil {
		return err
	}
	request, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{name},
		Parameter:      proto.String("paths=source_relative"),
		ProtoFile:      []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(files[0])},
	})
	if err != nil {
		return err
	}
	for _, generator := range []string{"protoc-gen-go", "protoc-gen-go-grpc"} {
		if err := run(ctx, generator, request, dir, publish); err != nil {
			return fmt.Errorf("%s: %w", generator, err)
		}
	}
	return nil
}

func run(ctx context.Context, generator string, request []byte, dir string, publish func(path string, code []byte) error) error {
	cmd := exec.CommandContext(ctx, "go", "tool", generator)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(request), os.Stderr
	output, err := cmd.Output()
	if err != nil {
		return err
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(output, &response); err != nil {
		return err
	}
	if response.Error != nil {
		return errors.New(response.GetError())
	}
	for _, file := range response.File {
		if err := publish(filepath.Join(dir, file.GetName()), []byte(file.GetContent())); err != nil {
			return err
		}
	}
	return nil
}
