//! The topology in use: where it comes from, when it is exchanged, how long what was made for the one before still
//! works, and what is kept of it for the next start.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::directory::Outcome;
use super::output::{Code, Event, FetchError, FetchId, Phase, Record, Request, State};
use super::{Engine, PacketFormat};
use crate::limits;
use crate::message::{Address, GatewayId};
use crate::sphinx::RotationTag;
use crate::time::{Duration, Instant};
use crate::topology::Topology;

/// The topology of the rotation that ended last, while its keys still work.
pub(super) struct Grace {
    topology: Topology,
    until: Instant,
}

impl Grace {
    pub(super) fn until(&self) -> Instant {
        self.until
    }
}

/// What the store holds of the topology.
#[derive(Default)]
pub(super) struct Stored {
    /// The record of an earlier run, until it is looked at.
    record: Option<Vec<u8>>,
    /// When one was written last, and of which epoch.
    saved: Option<(Instant, u32)>,
}

impl<P: PacketFormat> Engine<P> {
    // ── where it comes from ──────────────────────────────────────────────────────────────────────────────────────

    /// The topology that an earlier run had saved, as its record came from the store; to be called before
    /// [`Self::connect`]. One that is damaged, too old, of another network or without our gateway is not used.
    pub fn restore_topology(&mut self, record: &[u8]) {
        if record.len() <= limits::TOPOLOGY_RECORD_LEN_MAX {
            self.stored.record = Some(record.to_vec());
        }
    }

    /// A topology to connect with: written by hand, from the store, left from an earlier attempt, or to be fetched.
    pub(super) fn first_topology(&mut self, now: Instant) {
        match self.directory.read_document(&self.config, now) {
            Some(Ok(topology)) => _ = self.new_topology(topology, Duration::ZERO, now),
            Some(Err(code)) => self.fail(code, Phase::Topology),
            None => {
                if let Some((topology, age)) = self.stored_topology(now) {
                    let time = (self.gateway_time(now), now);
                    self.directory.plan_refresh(&self.config, &topology, age, time, &mut *self.rng);
                    self.new_topology(topology, age, now);
                } else if self.topology.as_ref().is_some_and(|known| self.suits(known)) && !self.is_outlived(now) {
                    self.directory.go_on(now);
                    self.link_new_topology(now);
                } else {
                    self.refresh_topology();
                }
            }
        }
    }

    pub(super) fn refresh_topology(&mut self) {
        let fetches = self.directory.begin(&self.config);
        self.requests.extend(fetches.into_iter().map(|(id, url)| Request::Fetch { id, url }));
    }

    pub(super) fn directory_answered(&mut self, id: FetchId, answer: Result<&[u8], FetchError>, now: Instant) {
        let time = (self.gateway_time(now), now);
        match self.directory.handle(id, answer, (&self.config, self.topology.as_ref()), time, &mut *self.rng) {
            Outcome::Waiting => {}
            Outcome::Again => {
                let fetches = self.directory.retry_round(&self.config);
                self.requests.extend(fetches.into_iter().map(|(id, url)| Request::Fetch { id, url }));
            }
            Outcome::New(topology) => {
                if self.new_topology(*topology, Duration::ZERO, now) {
                    self.save_topology(now);
                }
            }
            Outcome::Failed(code) => {
                self.stats.dropped.topology += u64::from(code == Code::DirectoryInvalid);
                let tries = limits::CONNECT_ATTEMPTS.saturating_mul(self.config.directories.len() as u32);
                if self.link_waits_for_topology() && self.directory.failures() >= tries {
                    self.fail(code, Phase::Topology);
                }
            }
        }
    }

    /// Takes a topology into use, unless it lacks our gateway and the present one does not.
    fn new_topology(&mut self, topology: Topology, age: Duration, now: Instant) -> bool {
        let has_gateway = |topology: &Topology| self.own.as_ref().is_none_or(|own| has(topology, &own.gateway()));
        if has_gateway(&topology) {
            self.gateway_missing = 0;
        } else {
            // No ack and no reply could come back. The one in use is good for a while yet; the address is kept, and
            // moving is for the user to decide.
            self.gateway_missing = self.gateway_missing.saturating_add(1);
            let in_use_has_it = self.topology.as_ref().is_some_and(has_gateway);
            if self.is_gateway_gone() && self.state == State::Reconnecting {
                self.tell_lost(Code::GatewayGone);
            }
            if in_use_has_it {
                self.enter_linked();
                return false;
            }
        }
        self.directory.took(age, now);
        self.events.push_back(Event::Topology);
        match self.topology.replace(topology) {
            Some(old) => self.keep_for_grace(old, now),
            None => self.check_restored(now),
        }
        self.enter_linked();
        self.drop_ahead();
        // SURBs that wait in a message lead along routes of the old topology.
        self.outbound.drop_surbs();
        // Those that were sent to us may be of the rotation that we know only now.
        self.outbound.unpark_all(self.directory.generation());
        self.link_new_topology(now);
        true
    }

    /// Whether the network still works but without our gateway, as far as its directory says.
    pub(super) fn is_gateway_gone(&self) -> bool {
        self.gateway_missing >= limits::GATEWAY_MISSING_MAX
    }

    // ── rotations ────────────────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn rotation(&self) -> RotationTag {
        self.topology.as_ref().map_or(RotationTag::Unknown, Topology::rotation)
    }

    /// After a rotation: what was made for the old one works for its first epoch. What is older works no more.
    fn keep_for_grace(&mut self, mut old: Topology, now: Instant) {
        let Some(new) = self.topology.as_ref().filter(|new| new.rotation_id() != old.rotation_id()) else { return };
        let epoch = new.schedule().map_or(EPOCH_DEFAULT, |schedule| schedule.epoch_duration);
        let mut until = now + epoch;
        if let Some(schedule) = new.schedule().filter(|_| new.rotation_id() > old.rotation_id()) {
            let second_epoch = schedule.rotation_start(new.rotation_id()).saturating_add(1);
            let end = Duration::from_secs(schedule.epoch_start(second_epoch));
            until = until.min(now + end.saturating_sub(self.gateway_time(now)));
        }
        let (from, to) = (old.rotation_id(), new.rotation_id());
        self.conversations.rotated();
        if to.abs_diff(from) > 1 {
            // Tags tell only odd from even, so those of two rotations ago would pass for new ones.
            self.grace = None;
            self.end_rotation(None);
            return;
        }
        // Tables are few, and for the keys in use.
        old.drop_tables();
        if let Some(earlier) = self.grace.replace(Grace { topology: old, until })
            && earlier.topology.rotation_id() != to
        {
            self.end_rotation(Some(earlier.topology.rotation()));
        }
        self.replies.rotated(until.since(now), self.config.ask_for_more, now, &mut *self.rng);
        self.end_grace(now);
    }

    /// Drops what was made for the rotation that ended, once its keys are gone.
    pub(super) fn end_grace(&mut self, now: Instant) {
        if let Some(grace) = self.grace.take_if(|grace| grace.until <= now) {
            self.end_rotation(Some(grace.topology.rotation()));
        }
    }

    fn end_rotation(&mut self, ended: Option<RotationTag>) {
        self.stats.dropped.surb += u64::from(self.replies.end_rotation(ended, self.now));
        // Who waits for a SURB that was dropped asks anew, or is told that there is none.
        self.outbound.unpark_all(0);
    }

    /// Which tags packets can travel under now, with the ack that has the tag of the packet that brings it.
    pub(super) fn usable_rotations(&self) -> impl Fn(RotationTag) -> bool + use<P> {
        let present = self.topology.as_ref().map(Topology::rotation);
        let ended = self.grace.as_ref().map(|grace| grace.topology.rotation());
        move |tag| [present, ended].into_iter().flatten().any(|rotation| fits(rotation, tag))
    }

    /// Whether the nodes have forgotten the keys of the topology in use: by its schedule its rotation was over an epoch
    /// ago, and no directory has confirmed since that it is not. Then fragments wait; cover goes on, so that
    /// the traffic keeps its shape.
    pub(super) fn is_outlived(&self, now: Instant) -> bool {
        let Some(topology) = &self.topology else { return false };
        let Some(age) = self.directory.age(now) else { return false };
        outlived(topology, age, self.gateway_time(now))
    }

    /// Why nothing may be coming back although the link is well.
    pub(super) fn no_echo(&self, now: Instant) -> Option<Code> {
        let own = self.own.as_ref().map(Address::gateway)?;
        if self.topology.as_ref().is_none_or(|topology| !has(topology, &own)) {
            return Some(Code::GatewayGone);
        }
        self.is_outlived(now).then(|| self.directory.trouble().unwrap_or(Code::DirectoryUnreachable))
    }

    // ── what is kept for the next start ──────────────────────────────────────────────────────────────────────────

    /// Saves the topology just taken into use, though not at every refresh.
    fn save_topology(&mut self, now: Instant) {
        let Some(topology) = &self.topology else { return };
        let Some(url) = self.directory.url(&self.config) else { return };
        let is_recent = |(at, epoch)| epoch == topology.epoch() && now.since(at) < limits::TOPOLOGY_RECORD_GAP;
        if self.stored.saved.is_some_and(is_recent) {
            return;
        }
        let mut record = Zeroizing::new(Vec::from([RECORD_VERSION, self.config.minimum_performance]));
        record.extend_from_slice(&self.unix(now).to_be_bytes());
        let source = source(&record, url);
        record.extend_from_slice(&source);
        record.append(&mut topology.to_record());
        if record.len() <= limits::TOPOLOGY_RECORD_LEN_MAX {
            self.stored.saved = Some((now, topology.epoch()));
            self.requests.push_back(Request::Save { record: Record::Topology, bytes: record });
        }
    }

    /// The stored topology and its age, if it can be used.
    fn stored_topology(&mut self, now: Instant) -> Option<(Topology, Duration)> {
        let record = self.stored.record.take()?;
        let (head, rest) = record.split_at_checked(HEAD_LEN)?;
        let saved = head.strip_prefix(&[RECORD_VERSION, self.config.minimum_performance])?.first_chunk()?;
        let (from, rest) = rest.split_first_chunk::<SOURCE_LEN>()?;
        // A time to come says that one of two clocks is wrong, so that nothing is known of the age.
        let age = Duration::from_secs(self.unix(now).checked_sub(u64::from_be_bytes(*saved))?);
        if !self.config.directories.iter().any(|url| source(head, url) == *from) {
            return None;
        }
        let topology = Topology::from_record(rest)?;
        let age_max = match topology.schedule() {
            Some(_) => limits::TOPOLOGY_RECORD_AGE_MAX,
            None => limits::TOPOLOGY_RECORD_AGE_UNSCHEDULED_MAX,
        };
        let is_usable = age <= age_max && !outlived(&topology, age, self.gateway_time(now)) && self.suits(&topology);
        is_usable.then_some((topology, age))
    }

    /// Whether the gateway is in it that this client has or is to have.
    fn suits(&self, topology: &Topology) -> bool {
        let own = self.own.as_ref().map(Address::gateway).or(self.config.gateway);
        own.is_none_or(|gateway| has(topology, &gateway))
    }
}

fn has(topology: &Topology, gateway: &GatewayId) -> bool {
    topology.gateway(gateway).is_some()
}

/// The topology for packets that travel under this tag: an ack does under that of the packet it is cut out of. `None`
/// when we have none of that rotation.
pub(super) fn topology_for<'a>(
    in_use: &'a Topology,
    grace: Option<&'a Grace>,
    tag: RotationTag,
) -> Option<&'a Topology> {
    let suits = |topology: &&Topology| fits(topology.rotation(), tag);
    Some(in_use).filter(suits).or_else(|| grace.map(|grace| &grace.topology).filter(suits))
}

/// Whether packets of this tag can be made with the keys of this rotation.
fn fits(rotation: RotationTag, tag: RotationTag) -> bool {
    // Nodes try all keys they have for a packet without a tag.
    tag == RotationTag::Unknown || [tag, RotationTag::Unknown].contains(&rotation)
}

/// Whether a topology of this age is of a rotation whose keys are gone by its own schedule.
fn outlived(topology: &Topology, age: Duration, unix: Duration) -> bool {
    topology.schedule().is_some_and(|schedule| {
        let last = schedule.rotation_start(topology.rotation_id().saturating_add(1));
        let end = Duration::from_secs(schedule.epoch_start(last.saturating_add(1)));
        // Where it is younger than that, the chain is stuck and the old keys are in force.
        unix >= end && unix.saturating_sub(age) < end
    })
}

/// Which directory a topology is from, and that nothing before this in its record is damaged.
fn source(head: &[u8], url: &str) -> [u8; SOURCE_LEN] {
    *blake3::Hasher::new().update(head).update(url.trim_end_matches('/').as_bytes()).finalize().as_bytes()
}

/// Rotations overlap by one epoch; this stands in where the directory does not say how long one is.
const EPOCH_DEFAULT: Duration = Duration::from_secs(3600);
const RECORD_VERSION: u8 = 1;
/// Version, least performance, when it was saved.
const HEAD_LEN: usize = 1 + 1 + 8;
const SOURCE_LEN: usize = 32;
