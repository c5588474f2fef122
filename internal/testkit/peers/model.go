package peers

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// ModelBehaviour is how a Model answers.
type ModelBehaviour int

// The behaviours. All but the first are bad.
const (
	ModelMends           ModelBehaviour = iota // puts in colons, commas and quotes, leaves out strays
	ModelChangesValues                         // mends, and exchanges two numbers
	ModelObeys                                 // mends, and adds the member that an instruction in the text asks for
	ModelDropsMember                           // mends, and leaves out the first value
	ModelAddsFields                            // mends, and answers with more fields than the schema has
	ModelTalks                                 // answers in prose
	ModelStops                                 // mends, and breaks off in the middle of its JSON
	ModelRunsOut                               // mends, and says that it has come to the end of its tokens
	ModelRefuses                               // answers with a refusal
	ModelCalls                                 // answers with a tool call
	ModelCountsNothing                         // mends, and reports no usage
	ModelCountsBelowZero                       // mends, and reports negative usage
	ModelCountsTooMuch                         // mends, and reports absurd usage
	ModelFloods                                // answers without end
	ModelFails                                 // 500
	ModelLimits                                // 429
	ModelRedirects                             // 307 to somewhere else
	ModelHangsUp                               // closes the connection without an answer
	ModelWaits                                 // answers like ModelMends, but only once its gate is open
)

// Model is a server that speaks the wire format of OpenAI's chat completions at
// /v1/chat/completions, plain HTTP on loopback. It mends JSON whose values are
// placeholders of letters and digits, with white space between the tokens.
type Model struct {
	server   *http.Server
	listener net.Listener
	serving  sync.WaitGroup
	gate     *Gate

	mu        sync.Mutex
	behaviour ModelBehaviour
	seen      []ModelRequest
}

// ModelRequest is what a Model was asked.
type ModelRequest struct {
	Header http.Header
	Body   []byte
}

// ModelUsage is what a Model reports as usage.total_tokens, where it tells the truth.
const ModelUsage = 123

// StartModel serves until Close.
func StartModel(behaviour ModelBehaviour) (*Model, error) {
	listener, err := listen("")
	if err != nil {
		return nil, fmt.Errorf("start a model: %w", err)
	}
	m := &Model{listener: listener, behaviour: behaviour, gate: newGate()}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", m.complete)
	m.server = &http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}
	m.serving.Go(func() { _ = m.server.Serve(listener) })
	return m, nil
}

// Addr is where it serves.
func (m *Model) Addr() netip.AddrPort { return addrPort(m.listener.Addr()) }

// URL is what clients take as their base URL.
func (m *Model) URL() string { return "http://" + m.Addr().String() + "/v1" }

// Behave changes how it answers from now on.
func (m *Model) Behave(b ModelBehaviour) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.behaviour = b
}

// Gate is what ModelWaits waits for.
func (m *Model) Gate() *Gate { return m.gate }

// Requests are those that have come so far.
func (m *Model) Requests() []ModelRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]ModelRequest(nil), m.seen...)
}

// Close ends it, and what it is answering.
func (m *Model) Close() error {
	err := m.server.Close()
	m.serving.Wait()
	return err
}

// completion is the part of an answer that clients read.
type completion struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage,omitempty"`
}

type choice struct {
	Index        int     `json:"index"`
	Message      message `json:"message"`
	FinishReason string  `json:"finish_reason"`
}

type message struct {
	Role      string           `json:"role"`
	Content   *string          `json:"content"`
	Refusal   *string          `json:"refusal"`
	ToolCalls []map[string]any `json:"tool_calls,omitempty"`
}

type usage struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
	Total      int64 `json:"total_tokens"`
}

func (m *Model) complete(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return
	}
	m.mu.Lock()
	m.seen = append(m.seen, ModelRequest{Header: r.Header.Clone(), Body: body})
	behaviour := m.behaviour
	m.mu.Unlock()

	var request struct {
		Model    string `json:"model"`
		Messages []struct {
			Content string `json:"content"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(body, &request); err != nil || len(request.Messages) == 0 {
		apiError(w, http.StatusBadRequest, "invalid_request_error")
		return
	}
	if behaviour == ModelWaits && m.gate.wait(r.Context()) != nil {
		return
	}
	if m.failed(w, behaviour) {
		return
	}
	answer := completion{
		ID: "chatcmpl-1", Object: "chat.completion", Created: 1, Model: request.Model,
		Choices: []choice{answerOf(behaviour, request.Messages[len(request.Messages)-1].Content)},
		Usage:   usageOf(behaviour),
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// failed answers for behaviours that give no completion.
func (m *Model) failed(w http.ResponseWriter, behaviour ModelBehaviour) bool {
	switch behaviour {
	case ModelFails:
		apiError(w, http.StatusInternalServerError, "server_error")
	case ModelLimits:
		w.Header().Set("Retry-After", "1")
		apiError(w, http.StatusTooManyRequests, "rate_limit_exceeded")
	case ModelRedirects:
		w.Header().Set("Location", "/v1/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	case ModelHangsUp:
		panic(http.ErrAbortHandler)
	case ModelFloods:
		w.Header().Set("Content-Type", "application/json")
		for spaces := []byte(strings.Repeat(" ", 64<<10)); ; {
			if _, err := w.Write(spaces); err != nil {
				return true
			}
		}
	default:
		return false
	}
	return true
}

func apiError(w http.ResponseWriter, status int, kind string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": kind, "type": kind, "param": nil, "code": nil}})
}

func usageOf(behaviour ModelBehaviour) *usage {
	switch behaviour {
	case ModelCountsNothing:
		return nil
	case ModelCountsBelowZero:
		return &usage{Total: -1_000_000}
	case ModelCountsTooMuch:
		return &usage{Total: 1 << 52}
	}
	return &usage{Prompt: ModelUsage - 23, Completion: 23, Total: ModelUsage}
}

func answerOf(behaviour ModelBehaviour, skeleton string) choice {
	tokens := mend(skeleton)
	fields := map[string]any{}
	finish := "stop"
	switch behaviour {
	case ModelChangesValues:
		exchange(tokens)
	case ModelObeys:
		tokens = append([]string{"{", `"approved"`, ":", "true", ","}, tokens[1:]...)
	case ModelDropsMember:
		tokens = append([]string{"{"}, tokens[min(5, len(tokens)):]...)
	case ModelAddsFields:
		fields["comment"] = "I have also checked the amounts."
	case ModelRunsOut:
		finish = "length"
	}
	fields["json"] = strings.Join(tokens, "")
	content, _ := json.Marshal(fields) // strings alone
	text := string(content)
	answer := choice{Message: message{Role: "assistant", Content: &text}, FinishReason: finish}
	switch behaviour {
	case ModelTalks:
		text = "Sure! Here is the repaired JSON:\n" + text
	case ModelStops:
		text = text[:len(text)/2]
	case ModelRefuses:
		answer.Message.Content, answer.Message.Refusal = nil, &text
	case ModelCalls:
		answer.Message.Content, answer.FinishReason = nil, "tool_calls"
		answer.Message.ToolCalls = []map[string]any{{"id": "call_1", "type": "function", "function": map[string]any{"name": "pay", "arguments": "{}"}}}
	}
	return answer
}

// exchange swaps the first two numbers.
func exchange(tokens []string) {
	first := -1
	for i, t := range tokens {
		switch isNumber := t[0] >= '0' && t[0] <= '9'; {
		case isNumber && first < 0:
			first = i
		case isNumber:
			tokens[first], tokens[i] = tokens[i], tokens[first]
			return
		}
	}
}
