package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/fault"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
)

// How long to wait before a format is asked again after trouble that may pass.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// work starts the outstanding task, unless it runs already or waits for the person.
func (l *Live) work(ctx context.Context, workers *sync.WaitGroup) {
	t, ok := l.machine.task()
	if !ok || l.held {
		return
	}
	key := taskKey(t)
	if l.working == key {
		return
	}
	l.working = key
	name, sends := l.record.Preview.Format, l.sends()
	workers.Go(func() {
		format, err := l.device.Formats.Lookup(name)
		if err != nil {
			l.bring(ctx, result{key, failed(t, err), nil})
			return
		}
		l.bring(ctx, perform(ctx, format, sends, t, key, l.bring))
	})
}

func taskKey(t share.Task) string { return fmt.Sprintf("%d %s", t.Do, t.Key) }

func (l *Live) sends() bool { return l.record.Role == discovery.Sender }

// answer asks a format that only computes at once, if next has a question for it
// and has to be saved anyway: one save then does for the question and the answer.
// What fails is left to work.
func (l *Live) answer(next machine, eff share.Effects) (machine, share.Effects) {
	format, err := l.device.Formats.Lookup(l.record.Preview.Format)
	if _, computed := format.(credential.Computed); err != nil || !computed {
		return next, eff
	}
	for eff.Save && !l.held {
		t, ok := next.task()
		if !ok || t.Do != share.Ask || taskKey(t) == l.working {
			break
		}
		fault.Point("node.task", "begin")
		e, err := once(context.Background(), format, l.sends(), t) // it waits for nothing
		fault.Point("node.task", "end")
		if err != nil {
			break
		}
		var more share.Effects
		next, more = next.step(l.device.Now(), l.device.Rand, e)
		eff = eff.Then(more)
	}
	return next, eff
}

// perform does a task, again and again where trouble may pass.
func perform(ctx context.Context, f credential.Format, sends bool, t share.Task, key string, bring func(context.Context, result)) result {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		fault.Point("node.task", "begin")
		e, err := once(ctx, f, sends, t)
		fault.Point("node.task", "end")
		switch {
		case err == nil:
			return result{key, e, nil}
		case errors.Is(err, credential.ErrFinal):
			return result{key, failed(t, err), nil}
		case t.Do == share.Provision:
			return result{key, nil, err} // the person may mend it: another place, more room
		}
		bring(ctx, result{"", nil, err})
		select {
		case <-ctx.Done():
			return result{key, nil, ctx.Err()}
		case <-time.After(wait):
		}
	}
}

func once(ctx context.Context, f credential.Format, sends bool, t share.Task) (share.Event, error) {
	switch t.Do {
	case share.Look:
		there, err := f.Provisioned(ctx, t.Key, t.State)
		return share.Looked{Key: t.Key, There: there}, err
	case share.Provision:
		return share.Placed{Key: t.Key}, f.Provision(ctx, t.Key, t.State)
	}
	ask := f.Receive
	if sends {
		ask = f.Send
	}
	a, err := ask(ctx, credential.Turn{Key: t.Key, State: t.State, In: t.In})
	return share.Answered{Key: t.Key, Answer: share.Answer(a)}, err
}

// failed is the event of a task that can't ever be done.
func failed(t share.Task, err error) share.Event {
	if t.Do == share.Ask {
		return share.Answered{Key: t.Key, Failed: err.Error()}
	}
	return share.Placed{Key: t.Key, Failed: err.Error()}
}

func (l *Live) bring(ctx context.Context, r result) {
	select {
	case l.results <- r:
	case <-ctx.Done():
	}
}

// worked takes a task's result. Without an event it is trouble: told, and held
// for the person unless the task goes on by itself (then it has no key).
func (l *Live) worked(r result, eff share.Effects) (share.Effects, error) {
	if r.event != nil {
		l.working = ""
		return l.step(r.event, nil)
	}
	if r.key != "" {
		l.working, l.held = "", true
	}
	l.update(Update{Err: r.err, Held: l.held}, nil)
	return eff, nil
}
