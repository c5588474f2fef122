package collector

import (
	"context"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/signet-egress/signet/internal/metrics"
)

// recoverStream ends a stream in which the collector has a fault, and not the
// process, which has the streams of all other sidecars.
func recoverStream(log *slog.Logger, to *metrics.Collector) grpc.StreamServerInterceptor {
	return func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
		defer func() {
			if fault := recover(); fault != nil {
				err = recovered(stream.Context(), log, to, info.FullMethod, fault)
			}
		}()
		return handler(server, stream)
	}
}

// recoverCall is recoverStream for calls.
func recoverCall(log *slog.Logger, to *metrics.Collector) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any, err error) {
		defer func() {
			if fault := recover(); fault != nil {
				err = recovered(ctx, log, to, info.FullMethod, fault)
			}
		}()
		return handler(ctx, request)
	}
}

func recovered(ctx context.Context, log *slog.Logger, to *metrics.Collector, method string, fault any) error {
	to.Fault()
	log.ErrorContext(ctx, "a fault in the collector; this is a bug", "method", method, "fault", fault, "stack", string(debug.Stack()))
	return status.Error(codes.Internal, "a fault in the collector")
}
