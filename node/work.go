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

// A job is a task that is being done.
type job struct {
	do   share.Do
	key  string
	stop context.CancelFunc
}

// A result is what became of a job. Without an event it is trouble.
type result struct {
	job   *job
	event share.Event
	err   error
	again bool // the job goes on by itself
}

// work starts the outstanding task, unless it is being done already or waits for
// the person. What isn't outstanding any more is stopped: a share that was
// cancelled asks no issuer again, and what has waited for that is taken.
func (l *Live) work(ctx context.Context, workers *sync.WaitGroup) error {
	t, ok := l.machine.task()
	if l.job != nil {
		if ok && l.doing(t) {
			return nil
		}
		if err := l.drop(); err != nil {
			return err
		}
		t, ok = l.machine.task()
	}
	if ok && !l.held {
		l.start(ctx, workers, t)
	}
	return nil
}

// drop stops the job, and takes what has waited for it.
func (l *Live) drop() error {
	l.job.stop()
	l.job = nil
	return l.release()
}

// start starts a task.
func (l *Live) start(ctx context.Context, workers *sync.WaitGroup, t share.Task) {
	ctx, stop := context.WithCancel(ctx)
	j := &job{t.Do, t.Key, stop}
	l.job = j
	name, sends := l.record.Preview.Format, l.sends()
	workers.Go(func() {
		defer stop()
		bring := func(r result) {
			if ctx.Err() != nil {
				return // nobody wants it any more, and it may be the cause of the trouble
			}
			r.job = j
			select {
			case l.results <- r:
			case <-ctx.Done():
			}
		}
		format, err := l.device.Formats.Lookup(name)
		if err != nil {
			bring(final(t, err))
			return
		}
		bring(perform(ctx, format, sends, t, bring))
	})
}

// doing reports whether a task is being done.
func (l *Live) doing(t share.Task) bool {
	return l.job != nil && l.job.do == t.Do && l.job.key == t.Key
}

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
		if !ok || t.Do != share.Ask || l.doing(t) {
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

// perform does a task, again and again where trouble may pass. Where a credential
// could not be put in its place, the format is asked what that try has left, until
// it answers: it may be there all the same, and then nobody may decline it.
func perform(ctx context.Context, f credential.Format, sends bool, t share.Task, bring func(result)) result {
	var failed error // why it could not be put in its place
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		fault.Point("node.task", "begin")
		e, err := once(ctx, f, sends, t)
		fault.Point("node.task", "end")
		if err != nil && t.Do == share.Provision && !errors.Is(err, credential.ErrFinal) {
			failed, t.Do = err, share.Look
			e, err = once(ctx, f, sends, t)
		}
		looked, _ := e.(share.Looked)
		switch {
		case failed != nil && err == nil && looked.There:
			return result{event: share.Placed{Key: t.Key}}
		case failed != nil && err == nil:
			return result{err: failed} // the person may mend it: another place, more room
		case err == nil:
			return result{event: e}
		case failed == nil && errors.Is(err, credential.ErrFinal):
			return final(t, err)
		}
		bring(result{err: err, again: true})
		select {
		case <-ctx.Done():
			return result{err: ctx.Err()}
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

// final is the result of a task that can't ever be done. Only for a look it ends
// nothing: whether the credential is in its place isn't known, so neither word can
// be given, and the person has to see to it.
func final(t share.Task, err error) result {
	switch t.Do {
	case share.Ask:
		return result{event: share.Answered{Key: t.Key, Failed: err.Error()}}
	case share.Provision:
		return result{event: share.Placed{Key: t.Key, Failed: err.Error()}}
	}
	return result{err: err}
}

// worked takes a job's result, and then what has waited for it. Trouble is told,
// and held for the person unless the job goes on by itself.
func (l *Live) worked(r result) error {
	if r.job != l.job {
		return nil // it was stopped
	}
	if r.event == nil {
		if !r.again {
			l.job, l.held = nil, true
		}
		l.update(Update{Err: r.err, Held: l.held}, nil)
		switch {
		case r.job.do == share.Ask && len(l.waiting) > 0:
			return l.drop() // between two tries: the next one begins with what is changed
		case r.job.do == share.Look || r.again:
			l.refuse(r.err)
			return nil
		}
		return l.release()
	}
	l.job = nil
	if err := l.step(r.event, nil); err != nil {
		return err
	}
	return l.release()
}

// release takes the events that have waited, now that the format has answered.
func (l *Live) release() error {
	waited := l.waiting
	l.waiting = nil
	for _, q := range waited {
		if err := l.take(q); err != nil {
			return err
		}
	}
	return nil
}

// refuse answers the events that have waited in vain.
func (l *Live) refuse(why error) {
	for _, q := range l.waiting {
		q.done <- fmt.Errorf("%w: %w", ErrUntold, why)
	}
	l.waiting = nil
}
