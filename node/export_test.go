package node

// Carried notes in a record what came by a path.
func Carried(r *Record, path string, came ...Step) { r.carried(path, came) }
