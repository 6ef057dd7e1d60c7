//! What the page asks for.

use alloc::string::ToString;
use alloc::vec::Vec;

use wasm_bindgen::JsValue;

use super::{Closing, Driver, Outbox, restore};
use crate::engine::{Code, Plan, SendError, SwitchError};
use crate::exchange::RequestError;
use crate::limits;
use crate::message::GatewayId;
use crate::time::{Duration, Instant};
use crate::web::convert::{self, Command, Failure, Letter, Outgoing, RequestId};
use crate::web::convert_exchange::Call;
use crate::web::post;
use crate::web::store::{Page, StorageError};
use crate::web::tally::Tally;
use crate::web::vault::export;

impl Driver {
    pub(super) fn command(&mut self, command: Command) {
        let now = self.clock.now();
        match (&mut self.outbox, command.id()) {
            (Outbox::Unread(waiting, _), _) if command.is_of_outbox() && waiting.len() < limits::COMMANDS_COUNT_MAX => {
                return waiting.push_back(command);
            }
            (Outbox::Unreadable(error), Some(id)) if command.is_of_outbox() => {
                return self.post.answer(id, Err((*error).into()));
            }
            _ => {}
        }
        match command {
            Command::Cancel { id, message } => {
                match self.waiting.remove(message) {
                    Some(sender) => self.post.done(sender),
                    None => self.client.cancel(message, now),
                }
                self.post.done(id);
            }
            Command::Choose { gateway } => self.client.engine_mut().choose_gateway(gateway, now),
            Command::Close { id, drain, timeout, forget } => {
                if let Some(within) = forget {
                    self.client.engine_mut().forget_at_close(within);
                }
                self.close(id, drain, timeout, now);
            }
            Command::Done { id, kept } => {
                let is_new = self.client.done(kept);
                self.tally.iter_mut().filter(|_| is_new).for_each(Tally::count_done);
                match is_new && self.writer.keeps() {
                    true => self.finishing.push((kept, id)),
                    false => self.post.done(id),
                }
            }
            Command::Exchange { id, call } => self.exchange(id, call, now),
            Command::Export { id, passphrase } => {
                let backup = self.client.engine().backup().map_err(Failure::from);
                self.post.answer(id, backup.and_then(|backup| export(&backup, &passphrase)).map(|(answer, _)| answer));
            }
            Command::Gateways { id } => {
                let answer = self.client.engine().topology().map(|topology| post::gateways(topology, self.secure_page));
                self.answer(id, answer);
            }
            Command::Kept { message } => self.client.engine_mut().kept(message, now),
            Command::Listen { listening } => self.client.engine_mut().listen(listening),
            Command::Online => self.client.engine_mut().handle_online(now),
            Command::Outbox { id } => self.post.answer(id, Ok(post::outbox(&self.client.outbox()))),
            Command::Persist { id, .. } if self.closing.is_some() => {
                self.post.answer(id, Err(Failure::new(Code::Closed)));
            }
            Command::Persist { id, letter: Letter { key, expires, outgoing: Outgoing { to, body, sending, .. } } } => {
                match self.client.persist((key, expires), &to, &body, &sending, now) {
                    Ok(message) => _ = self.persisting.insert(message, id),
                    Err(error) => self.post.answer(id, Err(Failure::from(error))),
                }
            }
            Command::Open { id, .. } | Command::Vault { id, .. } => {
                self.post.answer(id, Err(convert::invalid("the client is open".into())));
            }
            // Nobody waits for it any more.
            Command::Passphrase(_) => {}
            Command::Send { id, .. } if self.closing.is_some() => {
                self.post.answer(id, Err(Failure::new(Code::Closed)));
            }
            Command::Send { id, outgoing } => {
                // What came first goes first.
                let refused = if self.waiting.is_empty() { self.try_send(id, outgoing) } else { Some(outgoing) };
                if let Some(outgoing) = refused
                    && !self.waiting.push(id, outgoing, self.client.engine().up_time(now))
                {
                    self.post.answer(id, Err(Failure::new(Code::QueueFull)));
                }
            }
            Command::Stay => {
                self.client.engine_mut().stay(now);
                if let Some(id) = self.switching.take_if(|_| !self.moved) {
                    self.post.answer(id, Err(Failure::new(Code::Timeout)));
                }
            }
            Command::Switch { id, gateway } => self.switch(id, gateway, now),
            Command::Stats { id } => {
                let mut stats = self.client.engine().stats(now);
                stats.dropped.page += self.writer.lost() + self.tally.as_ref().map_or(0, Tally::damaged);
                let kept = self.tally.as_ref().map(|tally| tally.sums(&stats));
                self.answer(id, Some(post::stats(&stats, &self.client.dropped(), kept)))
            }
            Command::Take { taking } => self.client.take_messages(taking),
            Command::Topology { id } => {
                let age = self.client.engine().stats(now).topology_age;
                let answer = self.client.engine().topology().map(|topology| post::topology(topology, age));
                self.answer(id, answer);
            }
            Command::Traffic { id, traffic } => match self.client.engine_mut().set_traffic(traffic, now) {
                Ok(()) => self.post.done(id),
                Err(error) => self.post.answer(id, Err(convert::invalid(error.to_string()))),
            },
            Command::Watch { message, watched } => match self.waiting.get_mut(message) {
                Some(outgoing) => outgoing.watched = watched,
                None => self.client.engine_mut().watch(message, watched, now),
            },
        }
    }

    /// Takes up what the store has of the outbox, then what had to wait for it.
    pub(super) fn outbox_read(&mut self, pages: Result<Vec<Page>, StorageError>, now: Instant) {
        let read = match &pages {
            Ok(_) => Outbox::Read,
            Err(error) => Outbox::Unreadable(*error),
        };
        let Outbox::Unread(waiting, _) = core::mem::replace(&mut self.outbox, read) else { return };
        match pages {
            Ok(pages) => restore(&mut self.client, pages, now),
            Err(error) => self.post.failure(&error.into()),
        }
        for command in waiting {
            self.command(command);
        }
    }

    /// A call on the exchange. Those that need the peer's answer end in events.
    fn exchange(&mut self, id: RequestId, call: Call, now: Instant) {
        let client = &mut self.client;
        let refusal = |error: RequestError| match error {
            RequestError::Send(error) => Failure::from(error),
            error => convert::invalid(error.to_string()),
        };
        let fits = |fits| if fits { Ok(()) } else { Err(convert::invalid(SERVICES_ADVICE.into())) };
        let result = match call {
            _ if self.closing.is_some() && call.is_new() => Err(Failure::new(Code::Closed)),
            Call::CancelRequest { message } => {
                client.cancel_request(message, now);
                Ok(())
            }
            Call::Listen { service, options } => fits(client.listen(service, options)),
            Call::OpenStream { stream, to, service, options } => {
                client.open_stream(stream, &to, &service, &options, now).map_err(refusal)
            }
            Call::Probe { message, to, options } => client.probe(message, &to, &options, now).map_err(refusal),
            Call::Request { items, to, options } => client.request(items, &to, &options, now).map_err(refusal),
            Call::Respond { handle, body, options } => {
                client.respond(handle, body.as_deref(), &options, now).map_err(Failure::from)
            }
            Call::Serve { service } => fits(client.serve(service)),
            Call::StreamEnd { stream } => {
                client.end_stream(stream, now);
                Ok(())
            }
            Call::StreamRead { stream, len } => {
                client.read_stream(stream, len);
                Ok(())
            }
            Call::StreamReset { stream, code, reason } => {
                client.reset_stream(stream, code, &reason, now);
                Ok(())
            }
            Call::StreamWrite { stream, bytes } => {
                let room = client.write_stream(stream, bytes, now);
                return self.post.answer(id, Ok(post::room(room)));
            }
            Call::Unlisten { service } => {
                client.unlisten(&service);
                Ok(())
            }
            Call::Unserve { service } => {
                client.unserve(&service);
                Ok(())
            }
        };
        self.post.answer(id, result.map(|()| post::nothing()));
    }

    /// What is not known before the first topology is answered with `not-connected`.
    fn answer(&self, id: RequestId, answer: Option<JsValue>) {
        self.post.answer(id, answer.ok_or_else(|| Failure::new(Code::NotConnected)));
    }

    /// Gives a message to the engine and answers, or gives it back when there is no room.
    pub(super) fn try_send(&mut self, id: RequestId, outgoing: Outgoing) -> Option<Outgoing> {
        let Outgoing { message, to, body, begun, sending, watched } = &outgoing;
        let now = self.clock.now();
        let plan = if *begun { Plan::parse(body) } else { None };
        let sent = match plan {
            Some(plan) => self.client.resume(*message, to, plan, &sending.options, now),
            None if *begun => return self.refuse_plan(id),
            None => self.client.send(*message, to, body, sending, now),
        };
        match sent {
            Ok(receipt) => {
                self.client.engine_mut().watch(*message, *watched, now);
                self.post.answer(id, Ok(post::sent(receipt)));
            }
            Err(SendError::QueueFull) => return Some(outgoing),
            Err(error) => self.post.answer(id, Err(Failure::from(error))),
        }
        None
    }

    /// What the page gave back is no plan.
    fn refuse_plan(&self, id: RequestId) -> Option<Outgoing> {
        self.post.answer(id, Err(convert::invalid("that is no plan of a message".into())));
        None
    }

    /// Begins to move to another gateway. Answered when it is done, or cannot be.
    fn switch(&mut self, id: RequestId, gateway: GatewayId, now: Instant) {
        // One that is done, but not yet on disk, is under way too.
        let begun = match self.switching {
            Some(_) => Err(SwitchError::Moving),
            None => self.client.engine_mut().switch_gateway(gateway, now),
        };
        match begun {
            Ok(begun) => {
                self.switching = Some(id);
                self.moved = !begun;
            }
            Err(error) => self.post.answer(id, Err(Failure::from(error))),
        }
    }

    fn close(&mut self, id: RequestId, drain: bool, timeout: Option<Duration>, now: Instant) {
        let deadline = timeout.map_or(Instant::from_micros(u64::MAX), |timeout| now + timeout);
        match &mut self.closing {
            // A second close that will not wait shortens the first.
            Some(closing) => {
                closing.ids.push(id);
                if drain && deadline >= closing.deadline {
                    return;
                }
                closing.drain &= drain;
                closing.deadline = closing.deadline.min(deadline);
                closing.begun = false;
            }
            None => self.closing = Some(Closing { ids: Vec::from([id]), drain, deadline, begun: false }),
        }
        if let Some(open) = self.opening.take() {
            self.post.answer(open, Err(Failure::new(Code::Closed)));
        }
        if !drain || self.waiting.is_empty() {
            self.begin_close(now);
        }
    }

    /// Tells the engine to close; what still waits for room is refused.
    pub(super) fn begin_close(&mut self, now: Instant) {
        let Some(closing) = self.closing.as_mut().filter(|closing| !closing.begun) else { return };
        closing.begun = true;
        let (drain, deadline) = (closing.drain, closing.deadline);
        for id in self.waiting.take_all() {
            self.post.answer(id, Err(Failure::new(Code::ClosedBeforeDelivery)));
        }
        self.client.close(drain, deadline, now);
    }
}

const SERVICES_ADVICE: &str = "too many services; close some of them";
