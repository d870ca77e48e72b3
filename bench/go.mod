module bench

// Not higher: from 1.25 on the runtime names its mappings with prctl, a call the machine refuses.
go 1.24
