// Package export_farrier_probe_check contains the probe: ready when beanstalkd accepts jobs.
package export_farrier_probe_check

import (
	"fmt"
	"strings"

	witTypes "go.bytecodealliance.org/pkg/wit/types"
	dial "wit_component/farrier_probe_dial"
	probe "wit_component/farrier_probe_types"
)

// The most bytes of an answer that are read; beanstalkd's statistics need 1,500.
const most = 16 << 10

// Check asks for the server's statistics. A server that is draining answers, but accepts no jobs.
func Check(context probe.Context) probe.Verdict {
	if context.Port.IsNone() {
		return probe.MakeVerdictFailed("the interface declares no port")
	}
	dialled := dial.Connect(context.Host, context.Port.Some(), witTypes.None[uint32]())
	if dialled.IsErr() {
		return unanswered(dialled.Err())
	}
	server := dialled.Ok()
	defer server.Drop()
	statistics, denial := ask(server, "stats\r\n")
	switch {
	case denial != nil:
		return unanswered(*denial)
	case !strings.HasPrefix(statistics, "OK "):
		return probe.MakeVerdictFailed(fmt.Sprintf("the port does not speak beanstalkd's protocol; it said: %.60q", statistics))
	case strings.Contains(statistics, "\ndraining: true\n"):
		return pending("beanstalkd is draining: it accepts no jobs")
	}
	return probe.MakeVerdictReady()
}

// ask sends a command, and reads an answer whose first line says how many bytes follow it: "OK 1234\r\n".
func ask(server *dial.Connection, command string) (string, *probe.Denial) {
	if written := server.Write([]byte(command)); written.IsErr() {
		denial := written.Err()
		return "", &denial
	}
	answer := ""
	for len(answer) < most {
		chunk := server.Read(most)
		if chunk.IsErr() {
			denial := chunk.Err()
			return "", &denial
		}
		answer += string(chunk.Ok())
		if len(chunk.Ok()) == 0 || isWhole(answer) {
			break
		}
	}
	if answer == "" {
		denial := probe.MakeDenialClosed()
		return "", &denial
	}
	return answer, nil
}

func isWhole(answer string) bool {
	line, body, found := strings.Cut(answer, "\r\n")
	var length int
	if _, err := fmt.Sscanf(line, "OK %d", &length); err != nil {
		return found
	}
	return len(body) >= length+len("\r\n")
}

func unanswered(denial probe.Denial) probe.Verdict {
	switch denial.Tag() {
	case probe.DenialNotGranted:
		return probe.MakeVerdictFailed(denial.NotGranted())
	case probe.DenialRefused:
		return pending("connection refused")
	}
	return pending("the port is open, but beanstalkd does not answer yet")
}

func pending(reason string) probe.Verdict {
	return probe.MakeVerdictPending(probe.Pending{Reason: reason})
}
