package receipts

import "strings"

// The members stand here in the order in which canonical.go writes them.

func (s *scanner) chain(lead string) (c Chain) {
	s.want(lead)
	c.ID = s.str(`{"id":`)
	c.Prev = s.optional(`,"prev":`)
	c.Seq = s.integer(`,"seq":`)
	s.want("}")
	return c
}

func (s *scanner) genesis() *Genesis {
	g := new(Genesis)
	g.Agent = s.str(`{"agent":`)
	g.Build = s.str(`,"build":`)
	g.Chain = s.chain(`,"chain":`)
	g.KID = s.str(`,"kid":`)
	g.PolicyVersion = s.str(`,"policy_version":`)
	g.PublicKey = s.str(`,"public_key":`)
	g.ReceiptHash = s.str(`,"receipt_hash":`)
	g.Signature = s.str(`,"signature":`)
	g.Tenant = s.str(`,"tenant":`)
	g.TS = s.time(`,"ts":`)
	s.want(`,"type":"` + string(TypeGenesis) + `"}`)
	return g
}

func (s *scanner) event() *Event {
	e := new(Event)
	lead := `{"chain":`
	if e.Build = s.optional(`{"build":`); e.Build != "" {
		lead = `,"chain":`
	}
	e.Chain = s.chain(lead)
	if s.have(`,"clock":{`) {
		e.Clock = &ClockStep{StepMS: s.integer(`"step_ms":`)}
		s.want("}")
	}
	e.Event = EventKind(s.str(`,"event":`))
	if s.have(`,"gap":{`) {
		e.Gap = s.gap()
	}
	if s.have(`,"key":{`) {
		e.Key = &KeyChange{KID: s.str(`"kid":`), Proof: s.str(`,"proof":`), PublicKey: s.str(`,"public_key":`)}
		s.want("}")
	}
	e.KID = s.str(`,"kid":`)
	e.PolicyVersion = s.optional(`,"policy_version":`)
	if s.have(`,"posture":{`) {
		e.Posture = &Posture{Name: s.str(`"name":`), Value: s.str(`,"value":`)}
		s.want("}")
	}
	e.ReceiptHash = s.str(`,"receipt_hash":`)
	e.Signature = s.str(`,"signature":`)
	e.TS = s.time(`,"ts":`)
	s.want(`,"type":"` + string(TypeEvent) + `"}`)
	return e
}

func (s *scanner) gap() *Gap {
	g := new(Gap)
	if s.have(`"lost":{`) {
		g.Lost = &Lost{Cause: LossCause(s.str(`"cause":`))}
		if strings.HasPrefix(s.text[s.at:], ",") {
			g.Lost.First = s.integer(`,"first":`)
			g.Lost.Last = s.integer(`,"last":`)
		}
		s.want("},")
	}
	g.Unknown = s.integer(`"unknown":`)
	s.want("}")
	return g
}

func (s *scanner) receipt() *Receipt {
	r := new(Receipt)
	r.Agent = s.str(`{"agent":`)
	s.want(`,"algo":"sha256"`)
	r.APIKey = s.optional(`,"api_key":`)
	s.want(`,"canon":"jcs"`)
	r.Chain = s.chain(`,"chain":`)
	r.Count = s.integer(`,"count":`)
	if s.have(`,"detail":`) {
		r.Detail = s.detail()
	}
	r.DetailDigest = s.str(`,"detail_digest":`)
	if s.have(`,"ext":`) {
		r.Ext = s.value("")
	}
	r.FallbackUsed = s.boolean(`,"fallback_used":`)
	r.FUTokens = s.integer(`,"fu_tokens":`)
	r.Hop = s.integer(`,"hop":`)
	r.Internal = s.optional(`,"internal":`)
	r.KID = s.str(`,"kid":`)
	r.Outcome = Outcome(s.str(`,"outcome":`))
	s.policy(&r.Policy)
	if !s.have(`,"prev_receipt_hash":null`) {
		r.PrevReceiptHash = s.str(`,"prev_receipt_hash":`)
	}
	r.ReceiptHash = s.str(`,"receipt_hash":`)
	r.ReceiptID = s.str(`,"receipt_id":`)
	r.SemanticViolations = s.optionalTexts(`,"semantic_violations":`)
	r.Signature = s.str(`,"signature":`)
	r.Tenant = s.str(`,"tenant":`)
	r.TraceID = s.str(`,"trace_id":`)
	r.TS = s.time(`,"ts":`)
	s.want(`,"type":"` + string(TypeReceipt) + `"`)
	r.Usage.FU = s.integer(`,"usage":{"fu":`)
	r.Usage.VEX = s.integer(`,"vex":`)
	s.want("}}")
	return r
}

func (s *scanner) policy(p *Policy) {
	p.Allowed = s.boolean(`,"policy":{"allowed":`)
	s.want(`,"engine":"HEL"`)
	p.Flags = s.optionalTexts(`,"flags":`)
	p.Mode = s.str(`,"mode":`)
	p.Reason = s.str(`,"reason":`)
	p.Rule = s.optional(`,"rule":`)
	p.Version = s.str(`,"version":`)
	s.want("}")
}
