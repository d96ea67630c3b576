//! Jobs under way: work on records that the driver does beside the machine.

use std::collections::BTreeMap;

use overlay::Time;
use ring::Range;

use crate::local::{Duty, Local, Step};
use crate::retry::Kind;
use crate::{Control, Effect, Job, JobId, Member};

/// The jobs that were started and did not end yet.
#[derive(Clone, Default, Debug)]
pub(crate) struct Jobs {
    running: BTreeMap<JobId, Running>,
    last: u64,
}

#[derive(Clone, Debug)]
struct Running {
    job: Job,
    /// The member fell behind again after the job began: its end says nothing.
    outdated: bool,
}

impl Job {
    fn range(&self) -> Range {
        match self {
            Job::Sync { range, .. } | Job::Takeover { range, .. } | Job::Spread { range, .. } => *range,
        }
    }

    fn number(&self) -> u64 {
        match self {
            Job::Sync { set, .. } | Job::Takeover { set, .. } | Job::Spread { set, .. } => set.number,
        }
    }

    /// Both do the same, if perhaps elsewhere.
    fn is_like(&self, other: &Job) -> bool {
        let alike = match (self, other) {
            (Job::Sync { .. }, Job::Sync { .. }) | (Job::Takeover { .. }, Job::Takeover { .. }) => true,
            (Job::Spread { to, .. }, Job::Spread { to: other, .. }) => to.is(other),
            _ => false,
        };
        alike && self.number() == other.number()
    }
}

impl Control {
    /// Starts `job` unless one like it is at work on some of its range.
    pub(crate) fn start_job(&mut self, job: Job) {
        self.busy = true;
        let overlaps = |running: &Running| running.job.range().overlaps(job.range());
        if self.jobs.running.values().any(|running| running.job.is_like(&job) && overlaps(running)) {
            return;
        }
        self.jobs.last += 1;
        let id = JobId(self.jobs.last);
        self.jobs.running.insert(id, Running { job: job.clone(), outdated: false });
        self.emit(Effect::Start(id, job));
    }

    pub(crate) fn job_ended(&mut self, now: Time, id: JobId, result: Result<u64, String>) {
        let Some(Running { job, outdated }) = self.jobs.running.remove(&id) else { return };
        let (kind, node) = match &job {
            Job::Sync { set, .. } => (Kind::Newcomer, set.primary().peer.id),
            Job::Takeover { .. } => (Kind::Takeover, self.me.peer.id),
            Job::Spread { to, .. } => (Kind::Spread, to.peer.id),
        };
        let Ok(begun) = result else {
            return self.back_off(now, kind, node, job.number());
        };
        self.retries.succeeded(kind, node, job.number());
        let number = job.number();
        self.locals.update(job.range(), |_, local| {
            if local.set.number == number {
                finish(local, &job, outdated, begun);
            }
        });
    }

    /// A member fell behind: what is being spread to it now is not all.
    pub(crate) fn outdate_spread(&mut self, range: Range, number: u64, to: &Member) {
        for running in self.jobs.running.values_mut() {
            let overlaps = running.job.range().overlaps(range);
            if let Job::Spread { to: member, .. } = &running.job
                && member.is(to)
                && running.job.number() == number
                && overlaps
            {
                running.outdated = true;
            }
        }
    }

    /// Stops jobs that nothing asks for any more.
    pub(crate) fn cancel_unwanted_jobs(&mut self) {
        let unwanted = |running: &Running| {
            let parts = self.locals.over(running.job.range());
            !parts.iter().any(|(_, local)| local.set.number == running.job.number() && wants(local, &running.job))
        };
        let ids: Vec<JobId> =
            self.jobs.running.iter().filter(|(_, running)| unwanted(running)).map(|(id, _)| *id).collect();
        for id in ids {
            self.jobs.running.remove(&id);
            self.emit(Effect::Cancel(id));
        }
    }
}

fn wants(local: &Local, job: &Job) -> bool {
    match job {
        Job::Sync { .. } => local
            .newcomer
            .as_ref()
            .is_some_and(|newcomer| newcomer.step == Step::Registered && newcomer.parting.is_none()),
        Job::Takeover { .. } => local.duty == Duty::TakingOver,
        Job::Spread { to, .. } => {
            local.primary().is_some_and(|primary| primary.behind.iter().any(|member| member.is(to)))
        }
    }
}

fn finish(local: &mut Local, job: &Job, outdated: bool, begun: u64) {
    match job {
        Job::Sync { .. } => {
            if let Some(newcomer) = &mut local.newcomer
                && newcomer.step == Step::Registered
            {
                newcomer.step = Step::Fetched;
            }
        }
        Job::Takeover { .. } => local.took_over(),
        Job::Spread { to, .. } => {
            let set = local.set.clone();
            if let Some(primary) = local.primary_mut()
                && !outdated
            {
                primary.behind.retain(|member| !member.is(to));
                primary.settle(&set);
                local.part_with_before();
                // A fenced one may have been followed by another since, which its members need not know yet.
                if local.accepted.is_none() {
                    local.note_whole(to, begun);
                }
            }
        }
    }
}
