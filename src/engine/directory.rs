//! Fetching the topology: four answers of one directory, checked against each other, from the next directory where
//! one fails, again after a while.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::config::{Config, is_loopback};
use super::output::{Code, FetchError, FetchId};
use crate::limits;
use crate::time::{Duration, Instant};
use crate::topology::{self, Patience, Policy, Topology, TopologyError};

/// The state of fetching.
pub(super) struct Directory {
    /// Which of the configured directories is asked.
    current: usize,
    round: Option<Round>,
    next_fetch: u64,
    /// When the next round begins.
    due: Option<Instant>,
    /// Rounds in a row that brought nothing.
    failures: u32,
    /// Why the last round brought nothing.
    trouble: Option<Code>,
    patience: Patience,
    /// The last time a directory gave a topology.
    answered: Option<Instant>,
    /// When the topology in use was taken, and how old it was then: one from the store has an age.
    taken: Option<(Instant, Duration)>,
    generation: u64,
}

/// One round: the four answers, as far as they have come.
struct Round {
    answers: [Option<Result<Vec<u8>, FetchError>>; 4],
    ids: [FetchId; 4],
    /// The answers did not fit together and are fetched once more.
    again: bool,
}

/// What a fetched answer led to.
pub(super) enum Outcome {
    /// More answers are to come.
    Waiting,
    /// The answers straddle a change of epoch and are fetched once more.
    Again,
    /// A new topology.
    New(Box<Topology>),
    /// The round brought nothing; the next is planned.
    Failed(Code),
}

impl Directory {
    pub(super) fn new() -> Self {
        Self {
            current: 0,
            round: None,
            next_fetch: 0,
            due: None,
            failures: 0,
            trouble: None,
            patience: Patience::default(),
            answered: None,
            taken: None,
            generation: 0,
        }
    }

    /// A new attempt to connect counts its failures anew.
    pub(super) fn forgive(&mut self) {
        self.failures = 0;
        self.round = None;
    }

    /// Reads the hard-coded topology, which needs no fetching.
    pub(super) fn read_document(&mut self, config: &Config, now: Instant) -> Option<Result<Topology, Code>> {
        let document = config.topology.as_ref()?;
        let policy = Policy { public: false, minimum_performance: config.minimum_performance, ..Policy::default() };
        Some(match Topology::from_document(document.as_bytes(), &policy) {
            Ok(topology) => {
                self.accept(now);
                Ok(topology)
            }
            Err(_) => Err(Code::DirectoryInvalid),
        })
    }

    /// Begins a round now unless one is under way. Answers the fetches to make.
    pub(super) fn begin(&mut self, config: &Config) -> Vec<(FetchId, String)> {
        if self.round.is_some() {
            return Vec::new();
        }
        self.start_round(config, false)
    }

    fn start_round(&mut self, config: &Config, again: bool) -> Vec<(FetchId, String)> {
        let Some(base) = self.url(config) else { return Vec::new() };
        let ids = core::array::from_fn(|at| FetchId(self.next_fetch + at as u64));
        self.next_fetch += 4;
        self.due = None;
        self.round = Some(Round { answers: [None, None, None, None], ids, again });
        let base = base.trim_end_matches('/');
        ids.iter().zip(topology::PATHS).map(|(id, path)| (*id, format!("{base}/{path}"))).collect()
    }

    /// One answer came in; what it leads to is held against the topology in use. `unix` is what time it is by the
    /// gateway's clock.
    pub(super) fn handle(
        &mut self,
        id: FetchId,
        answer: Result<&[u8], FetchError>,
        (config, previous): (&Config, Option<&Topology>),
        (unix, now): (Duration, Instant),
        rng: &mut dyn CryptoRng,
    ) -> Outcome {
        // A driver cuts off what is longer; one that does not makes us copy nothing.
        let answer = match answer {
            Ok(body) if body.len() > limits::DIRECTORY_BODY_MAX => Err(FetchError::TooLarge),
            answer => answer,
        };
        let Some(round) = &mut self.round else { return Outcome::Waiting };
        let Some(slot) = round.ids.iter().position(|known| *known == id) else { return Outcome::Waiting };
        if let Some(place) = round.answers.get_mut(slot) {
            *place = Some(answer.map(<[u8]>::to_vec));
        }
        if round.answers.iter().any(Option::is_none) {
            return Outcome::Waiting;
        }
        let Some(round) = self.round.take() else { return Outcome::Waiting };
        let again = round.again;
        match self.assemble(round, config, previous, now) {
            Ok(topology) => {
                self.accept(now);
                self.plan_refresh(config, &topology, Duration::ZERO, (unix, now), rng);
                Outcome::New(Box::new(topology))
            }
            Err(Refused::Inconsistent) if !again => Outcome::Again,
            Err(Refused::Inconsistent) => self.fail(Code::DirectoryInvalid, config, now, rng),
            Err(Refused::For(code)) => self.fail(code, config, now, rng),
        }
    }

    /// The fetches of the second try of a round.
    pub(super) fn retry_round(&mut self, config: &Config) -> Vec<(FetchId, String)> {
        self.start_round(config, true)
    }

    fn assemble(
        &mut self,
        round: Round,
        config: &Config,
        previous: Option<&Topology>,
        now: Instant,
    ) -> Result<Topology, Refused> {
        let [rewarded, mixnodes, entries, rotation] =
            round.answers.map(|answer| answer.unwrap_or(Err(FetchError::TimedOut)));
        let (rewarded, mixnodes, entries) = match (rewarded, mixnodes, entries) {
            (Ok(rewarded), Ok(mixnodes), Ok(entries)) => (rewarded, mixnodes, entries),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
                return Err(Refused::For(match error {
                    FetchError::TimedOut | FetchError::Unreachable => Code::DirectoryUnreachable,
                    FetchError::Status(_) | FetchError::TooLarge => Code::DirectoryInvalid,
                }));
            }
        };
        // The schedule is for comfort: without it rotations are noticed at the next refresh.
        let rotation = rotation.ok();
        let public = self.url(config).is_none_or(|url| !is_loopback(url));
        let policy = Policy {
            public,
            minimum_performance: config.minimum_performance,
            previous,
            patience_over: self.patience.is_over(now),
        };
        Topology::from_answers(&rewarded, &mixnodes, &entries, rotation.as_deref(), &policy).map_err(|error| {
            self.patience.refused(error, now);
            match error {
                TopologyError::Inconsistent => Refused::Inconsistent,
                _ => Refused::For(Code::DirectoryInvalid),
            }
        })
    }

    fn accept(&mut self, now: Instant) {
        self.patience.accepted();
        self.failures = 0;
        self.trouble = None;
        self.answered = Some(now);
    }

    /// A topology of this age is in use from now on.
    pub(super) fn took(&mut self, age: Duration, now: Instant) {
        self.taken = Some((now, age));
        self.generation += 1;
    }

    /// The topology of an earlier attempt to connect is used again.
    pub(super) fn go_on(&mut self, now: Instant) {
        self.due.get_or_insert(now);
    }

    fn fail(&mut self, code: Code, config: &Config, now: Instant, rng: &mut dyn CryptoRng) -> Outcome {
        self.current = (self.current + 1) % config.directories.len().max(1);
        self.failures = self.failures.saturating_add(1);
        self.trouble = Some(code);
        let wait = (limits::TOPOLOGY_RETRY * (1 << (self.failures - 1).min(16))).min(config.refresh);
        self.due = Some(now + jittered(wait, rng));
        Outcome::Failed(code)
    }

    /// The next refresh: on average after the configured time, never at a fixed rhythm, and soon after a rotation,
    /// spread out so that not all clients come at once. One from the store is refreshed when it would have been, had we
    /// gone on running.
    pub(super) fn plan_refresh(
        &mut self,
        config: &Config,
        topology: &Topology,
        age: Duration,
        (unix, now): (Duration, Instant),
        rng: &mut dyn CryptoRng,
    ) {
        let wait = jittered(config.refresh, rng).checked_sub(age).unwrap_or_else(|| below(SOON, rng));
        let mut due = now + wait;
        if let Some(schedule) = topology.schedule() {
            let next = schedule.epoch_start(schedule.rotation_start(topology.rotation_id().saturating_add(1)));
            if let Some(wait) = Duration::from_secs(next).checked_sub(unix) {
                due = due.min(now + wait + below(limits::ROTATION_SPREAD.min(schedule.epoch_duration / 4), rng));
            }
        }
        self.due = Some(due);
    }

    /// A refresh is wanted before its time: a recipient's gateway is unknown, the machine slept, nothing comes back.
    /// Never because of what came in from strangers: they would see in the directory's log whose client it is.
    pub(super) fn hasten(&mut self, now: Instant) {
        let not_before = self.answered.map_or(now, |at| at + limits::TOPOLOGY_RETRY * 10);
        let at = not_before.max(now);
        if self.round.is_none() && self.due.is_some_and(|due| due > at) {
            self.due = Some(at);
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        self.taken.map(|(at, age)| now.since(at) + age)
    }

    /// Why the last round brought nothing, if it did not.
    pub(super) fn trouble(&self) -> Option<Code> {
        self.trouble
    }

    /// The directory asked at present.
    pub(super) fn url<'a>(&self, config: &'a Config) -> Option<&'a str> {
        config.directories.get(self.current % config.directories.len().max(1)).map(String::as_str)
    }

    /// Which topology it is, counted.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }
}

enum Refused {
    Inconsistent,
    For(Code),
}

/// Between 80 and 120 % of it.
fn jittered(mean: Duration, rng: &mut dyn CryptoRng) -> Duration {
    mean * (800_000 + rng.next_u32() % 400_001) / 1_000_000
}

/// Anything below it.
fn below(end: Duration, rng: &mut dyn CryptoRng) -> Duration {
    end * (rng.next_u32() % 1_000_000) / 1_000_000
}

/// A refresh that is overdue when a client starts waits for up to so long.
const SOON: Duration = Duration::from_secs(5);
