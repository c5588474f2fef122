package receipts

func appendDetail(dst []byte, d *Detail) []byte {
	dst = append(dst, '{')
	if d.DNS != nil {
		dst = appendDNS(dst, d.DNS)
	}
	dst = appendInt(dst, "duration_us", d.DurationUS)
	if d.Forwarded != nil {
		dst = appendForwarded(dst, d.Forwarded)
	}
	if d.Payload != nil {
		dst = appendPayload(dst, d.Payload)
	}
	if d.Repair != nil {
		dst = appendRepair(dst, d.Repair)
	}
	if d.Request != nil {
		dst = appendRequest(dst, d.Request)
	}
	dst = appendText(dst, "salt", d.Salt)
	dst = appendTime(dst, "started", d.Started)
	if d.TLS != nil {
		dst = appendTLS(dst, d.TLS)
	}
	return append(dst, '}')
}

func appendDNS(dst []byte, n *DNS) []byte {
	dst = append(appendName(dst, "dns"), '{')
	dst = appendList(appendName(dst, "answers"), n.Answers)
	dst = appendList(appendName(dst, "cname"), n.CNAME)
	if n.Rebound {
		dst = appendBool(dst, "rebound", true)
	}
	dst = appendText(dst, "resolver", n.Resolver)
	dst = appendInt(dst, "ttl", n.TTL)
	return append(dst, '}')
}

func appendForwarded(dst []byte, f *ForwardedTo) []byte {
	dst = append(appendName(dst, "forwarded"), '{')
	dst = appendOptionalInt(dst, "bytes_down", f.BytesDown)
	dst = appendOptionalInt(dst, "bytes_up", f.BytesUp)
	dst = appendText(dst, "pinned_ip", f.PinnedIP)
	dst = appendInt(dst, "port", f.Port)
	dst = appendOptional(dst, "response_digest", f.ResponseDigest)
	dst = appendOptionalInt(dst, "response_size", f.ResponseSize)
	dst = appendOptionalInt(dst, "status_code", f.StatusCode)
	return append(dst, '}')
}

func appendPayload(dst []byte, p *Payload) []byte {
	dst = append(appendName(dst, "payload"), '{')
	dst = appendOptional(dst, "cid", p.CID)
	dst = appendText(dst, "contract", p.Contract)
	if len(p.Facts) > 0 {
		dst = append(appendName(dst, "facts"), '[')
		for i, f := range p.Facts {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, '{')
			dst = appendText(dst, "name", f.Name)
			dst = appendText(dst, "receipt_id", f.ReceiptID)
			dst = append(dst, '}')
		}
		dst = append(dst, ']')
	}
	dst = appendOptional(dst, "payload_type", p.PayloadType)
	dst = appendOptional(dst, "target_type", p.TargetType)
	return append(dst, '}')
}

func appendRepair(dst []byte, r *Repair) []byte {
	dst = append(appendName(dst, "repair"), '{')
	dst = appendText(dst, "after", r.After)
	dst = appendText(dst, "before", r.Before)
	if len(r.Edits) > 0 {
		dst = append(appendName(dst, "edits"), '[')
		for i, e := range r.Edits {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, '{')
			dst = appendInt(dst, "offset", e.Offset)
			dst = appendText(dst, "op", e.Op)
			dst = appendText(dst, "path", e.Path)
			dst = append(dst, '}')
		}
		dst = append(dst, ']')
	}
	dst = appendText(dst, "method", r.Method)
	dst = appendOptional(dst, "model", r.Model)
	return append(dst, '}')
}

func appendRequest(dst []byte, q *Request) []byte {
	dst = append(appendName(dst, "request"), '{')
	dst = appendOptional(dst, "digest", q.Digest)
	dst = appendText(dst, "host", q.Host)
	dst = appendText(dst, "method", q.Method)
	dst = appendOptional(dst, "path", q.Path)
	dst = appendInt(dst, "port", q.Port)
	dst = appendText(dst, "protocol", q.Protocol)
	dst = appendOptional(dst, "scheme", q.Scheme)
	dst = appendOptionalInt(dst, "size", q.Size)
	return append(dst, '}')
}

func appendTLS(dst []byte, t *TLS) []byte {
	dst = append(appendName(dst, "tls"), '{')
	dst = appendOptional(dst, "alpn", t.ALPN)
	dst = appendBool(dst, "ech", t.ECH)
	dst = appendText(dst, "mode", t.Mode)
	dst = appendOptional(dst, "peer_spki", t.PeerSPKI)
	dst = appendOptional(dst, "sni", t.SNI)
	dst = appendOptional(dst, "version", t.Version)
	return append(dst, '}')
}
