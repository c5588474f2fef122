package receipts

func (s *scanner) detail() *Detail {
	d := new(Detail)
	s.want("{")
	if s.have(`"dns":`) {
		d.DNS = s.dns()
		s.want(",")
	}
	d.DurationUS = s.integer(`"duration_us":`)
	if s.have(`,"forwarded":`) {
		d.Forwarded = s.forwarded()
	}
	if s.have(`,"payload":`) {
		d.Payload = s.payload()
	}
	if s.have(`,"repair":`) {
		d.Repair = s.repair()
	}
	if s.have(`,"request":`) {
		d.Request = s.request()
	}
	d.Salt = s.str(`,"salt":`)
	d.Started = s.time(`,"started":`)
	if s.have(`,"tls":`) {
		d.TLS = s.tls()
	}
	s.want("}")
	return d
}

func (s *scanner) dns() *DNS {
	n := &DNS{Answers: s.texts(`{"answers":`), CNAME: s.texts(`,"cname":`)}
	n.Rebound = s.have(`,"rebound":true`)
	n.Resolver = s.str(`,"resolver":`)
	n.TTL = s.integer(`,"ttl":`)
	s.want("}")
	return n
}

func (s *scanner) forwarded() *ForwardedTo {
	f := new(ForwardedTo)
	s.want("{")
	if f.BytesDown = s.optionalInteger(`"bytes_down":`); f.BytesDown != nil {
		s.want(",")
	}
	if f.BytesUp = s.optionalInteger(`"bytes_up":`); f.BytesUp != nil {
		s.want(",")
	}
	f.PinnedIP = s.str(`"pinned_ip":`)
	f.Port = s.integer(`,"port":`)
	f.ResponseDigest = s.optional(`,"response_digest":`)
	f.ResponseSize = s.optionalInteger(`,"response_size":`)
	f.StatusCode = s.optionalInteger(`,"status_code":`)
	s.want("}")
	return f
}

func (s *scanner) payload() *Payload {
	p := new(Payload)
	s.want("{")
	if p.CID = s.optional(`"cid":`); p.CID != "" {
		s.want(",")
	}
	p.Contract = s.str(`"contract":`)
	if s.have(`,"facts":[`) {
		for !s.bad && !s.have("]") {
			if len(p.Facts) > 0 {
				s.want(",")
			}
			p.Facts = append(p.Facts, Fact{Name: s.str(`{"name":`), ReceiptID: s.str(`,"receipt_id":`)})
			s.want("}")
		}
	}
	p.PayloadType = s.optional(`,"payload_type":`)
	p.TargetType = s.optional(`,"target_type":`)
	s.want("}")
	return p
}

func (s *scanner) repair() *Repair {
	r := &Repair{After: s.str(`{"after":`), Before: s.str(`,"before":`)}
	if s.have(`,"edits":[`) {
		for !s.bad && !s.have("]") {
			if len(r.Edits) > 0 {
				s.want(",")
			}
			r.Edits = append(r.Edits, Edit{Offset: s.integer(`{"offset":`), Op: s.str(`,"op":`), Path: s.str(`,"path":`)})
			s.want("}")
		}
	}
	r.Method = s.str(`,"method":`)
	r.Model = s.optional(`,"model":`)
	s.want("}")
	return r
}

func (s *scanner) request() *Request {
	q := new(Request)
	s.want("{")
	if q.Digest = s.optional(`"digest":`); q.Digest != "" {
		s.want(",")
	}
	q.Host = s.str(`"host":`)
	q.Method = s.str(`,"method":`)
	q.Path = s.optional(`,"path":`)
	q.Port = s.integer(`,"port":`)
	q.Protocol = s.str(`,"protocol":`)
	q.Scheme = s.optional(`,"scheme":`)
	q.Size = s.optionalInteger(`,"size":`)
	s.want("}")
	return q
}

func (s *scanner) tls() *TLS {
	t := new(TLS)
	s.want("{")
	if t.ALPN = s.optional(`"alpn":`); t.ALPN != "" {
		s.want(",")
	}
	t.ECH = s.boolean(`"ech":`)
	t.Mode = s.str(`,"mode":`)
	t.PeerSPKI = s.optional(`,"peer_spki":`)
	t.SNI = s.optional(`,"sni":`)
	t.Version = s.optional(`,"version":`)
	s.want("}")
	return t
}
