//! One client from the first command to the last: before it is open, while the driver serves it, and after its end.

use alloc::collections::VecDeque;
use alloc::string::String;
use core::pin::pin;

use futures_channel::mpsc::{self, Receiver};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use js_sys::Function;
use zeroize::Zeroizing;

use super::convert::{Command, Failure, OpenOptions, RequestId};
use super::driver::Driver;
use super::post::Post;
#[cfg(doc)]
use super::socket::Socket;
use super::start::{Prepared, prepare};
use crate::engine::Code;
use crate::limits;

/// Serves one client from the first command to the last: until `commands` ends. `make_socket` is for [`Socket::open`].
pub async fn run(post: Post, mut commands: Receiver<Command>, make_socket: Option<Function>) {
    let mut held = VecDeque::new();
    let Some((id, options)) = opening(&post, &mut commands, &mut held).await else { return };
    match prepared(&post, &mut commands, &options, &mut held).await {
        Some(Ok(prepared)) => {
            let mut driver = Driver::new(post, commands, id, prepared, options.secure_page());
            driver.watch(&options.profile).await;
            driver.make_socket = make_socket;
            driver.serve(held).await;
            let Driver { post, commands, .. } = driver;
            after_the_end(&post, commands).await;
        }
        Some(Err(failure)) => {
            post.answer(id, Err(failure));
            refuse_all(&post, held, Code::Closed);
            after_the_end(&post, commands).await;
        }
        None => {}
    }
}

/// Waits for `open`; runs errands, and answers what comes too early.
async fn opening(
    post: &Post,
    commands: &mut Receiver<Command>,
    held: &mut VecDeque<Command>,
) -> Option<(RequestId, OpenOptions)> {
    loop {
        let command = match held.pop_front() {
            Some(command) => command,
            None => commands.next().await?,
        };
        match command {
            Command::Open { id, options } => return Some((id, options)),
            Command::Close { id, .. } => post.done(id),
            Command::Vault { id, errand } => {
                let done = attended(commands, held, |answers| errand.run(post, answers)).await?;
                post.answer(id, done);
            }
            command => refuse(post, &command, Code::NotConnected),
        }
    }
}

/// Reads keys and settings; keeps what comes meanwhile in `held`. `None` when the client was closed or let go of.
async fn prepared(
    post: &Post,
    commands: &mut Receiver<Command>,
    options: &OpenOptions,
    held: &mut VecDeque<Command>,
) -> Option<Result<Prepared, Failure>> {
    attended(commands, held, |answers| prepare(post, options, answers)).await
}

/// Does work to which the page may have to give a passphrase; keeps what else comes in `held`. `None`: nobody wants it
/// any more.
async fn attended<F: Future>(
    commands: &mut Receiver<Command>,
    held: &mut VecDeque<Command>,
    work: impl FnOnce(Receiver<Zeroizing<String>>) -> F,
) -> Option<F::Output> {
    let (mut sender, answers) = mpsc::channel(1);
    let mut work = pin!(work(answers));
    while held.len() < limits::COMMANDS_COUNT_MAX {
        match select(work.as_mut(), commands.next()).await {
            Either::Left((done, _)) => return Some(done),
            Either::Right((Some(Command::Passphrase(passphrase)), _)) => {
                // A second one is not wanted.
                let _ = sender.try_send(passphrase);
            }
            Either::Right((command, _)) => held.push_back(command?),
        }
    }
    Some(work.await)
}

/// Answers everything after the end, until nobody holds the client any more.
async fn after_the_end(post: &Post, mut commands: Receiver<Command>) {
    while let Some(command) = commands.next().await {
        match command {
            Command::Close { id, .. } => post.done(id),
            command => refuse(post, &command, Code::Closed),
        }
    }
}

fn refuse(post: &Post, command: &Command, code: Code) {
    if let Some(id) = command.id() {
        post.answer(id, Err(Failure::new(code)));
    }
}

pub(super) fn refuse_all(post: &Post, commands: VecDeque<Command>, code: Code) {
    for command in commands {
        match command {
            Command::Close { id, .. } => post.done(id),
            command => refuse(post, &command, code),
        }
    }
}
