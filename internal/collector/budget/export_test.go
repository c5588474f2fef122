package budget

// Holders is how many budgets there are.
func (l *Local) Holders() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}
