//! What is done with the store of a profile that is not open: exporting and importing its identity, putting a new one in
//! its place, deleting it, changing its passphrase, looking at its outbox and adding to it.
//!
//! An errand opens the store, does one thing in one transaction and lets go of it. It has a worker to itself, so that
//! the key of a passphrase, which takes a second to make, delays no packet.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use futures_channel::mpsc::Receiver;
use futures_util::StreamExt;
use js_sys::Object;
use rexie::TransactionMode;
use wasm_bindgen::JsValue;
use zeroize::Zeroizing;

use super::clock::Clock;
use super::convert::{Failure, Imported, Letter, Outgoing, array, bytes, flag, id, invalid, optional, secret, text};
use super::database::{Connection, RECORDS, StorageError, read};
use super::post::{self, Post};
use super::start::{OUTBOX_SHELVES, generate, read_identity};
use super::store::{Kept, Store};
use crate::backup::{Backup, BackupError, Cost};
use crate::engine::{Code, Phase, Request};
use crate::exchange::StoredOutbox;
use crate::exchange::envelope::Id;
use crate::identity::{Identity, Registration};
use crate::message::Address;

/// One thing to do.
pub struct Errand {
    profile: String,
    has_passphrase: bool,
    /// Nobody else has the store open meanwhile.
    is_alone: bool,
    task: Task,
}

enum Task {
    /// Delete the store, whatever is in it.
    Destroy,
    /// Seal the identity under a passphrase.
    Export(Zeroizing<String>),
    /// Keep an exported identity, in place of another one only where that is wanted.
    Import(Imported, bool),
    /// Seal the data key under a passphrase, or under none.
    Protect(Option<Zeroizing<String>>),
    /// Put messages into the outbox, take some out of it, and list the rest.
    Outbox { letters: Vec<Letter>, cancelled: Vec<Id> },
    /// Open an exported identity and keep nothing.
    Read(Imported),
    /// Put new keys in the place of the old ones.
    Rotate,
    /// Tell whether there is a registration.
    Status,
}

impl Errand {
    /// # Errors
    /// What is missing or of the wrong type.
    pub fn from_js(message: &JsValue) -> Result<Self, Failure> {
        let imported =
            || Ok::<_, Failure>(Imported { file: bytes(message, "file")?, passphrase: secret(message, "secret")? });
        let task = match text(message, "task")?.as_str() {
            "destroy" => Task::Destroy,
            "export" => Task::Export(secret(message, "secret")?),
            "import" => Task::Import(imported()?, flag(message, "replace")?),
            "protect" => Task::Protect(optional(message, "secret", secret)?),
            "outbox" => Task::Outbox {
                letters: array(message, "letters")?
                    .iter()
                    .map(|one| Letter::from_js(&one))
                    .collect::<Result<_, _>>()?,
                cancelled: array(message, "cancelled")?.iter().map(|one| id(&one)).collect::<Result<_, _>>()?,
            },
            "read" => Task::Read(imported()?),
            "rotate" => Task::Rotate,
            "status" => Task::Status,
            _ => return Err(invalid("there is no such task".to_owned())),
        };
        Ok(Self {
            profile: text(message, "profile")?,
            has_passphrase: flag(message, "passphrase")?,
            is_alone: flag(message, "alone")?,
            task,
        })
    }

    /// Does it.
    ///
    /// # Errors
    /// What to answer.
    pub async fn run(self, post: &Post, answers: Receiver<Zeroizing<String>>) -> Result<JsValue, Failure> {
        let Self { profile, has_passphrase, is_alone, task } = self;
        let asker = Asker::new(post, has_passphrase, answers);
        let open = async || Store::unlock(&profile, Cost::default(), is_alone, async || asker.ask().await).await;
        match task {
            Task::Destroy => Connection::delete(&profile).await?,
            Task::Export(passphrase) => {
                let store = open().await?;
                let (identity, registration) = read_identity(&store).await?;
                let Some(identity) = identity else { return Err(nothing_yet()) };
                let (answer, address) = export(&Backup { identity, registration }, &passphrase)?;
                // A note that is not kept makes for one warning too many.
                let _ = store.set_exported(&address).await;
                return Ok(answer);
            }
            Task::Import(imported, replace) => {
                let (backup, address) = unseal(&imported)?;
                let store = open().await?;
                import(&store, &backup, address.as_ref(), replace).await?;
                return Ok(post::addressed(address.as_ref()).into());
            }
            Task::Protect(passphrase) => {
                let mut store = open().await?;
                store.set_passphrase(passphrase.as_ref().map(|text| text.as_str()), Cost::default()).await?;
            }
            Task::Outbox { letters, cancelled } => return change_outbox(&open().await?, letters, cancelled).await,
            Task::Read(imported) => return Ok(post::addressed(unseal(&imported)?.1.as_ref()).into()),
            Task::Rotate => {
                let store = open().await?;
                // What cannot be read is nothing to be replaced.
                read_identity(&store).await?;
                let identity = generate().to_bytes();
                let kept = Kept { identity: &identity, registration: None, exported: None, is_same: false };
                store.replace_identity(&kept, true).await?;
            }
            Task::Status => {
                let connection = Connection::open(&profile).await?;
                let transaction = connection.transaction(&[RECORDS], TransactionMode::ReadOnly)?;
                let is_registered = read(&transaction, RECORDS, "registration").await?.is_some();
                let answer = Object::new();
                post::set(&answer, "registered", &JsValue::from_bool(is_registered));
                return Ok(answer.into());
            }
        }
        Ok(post::nothing())
    }
}

/// Asks the page for a passphrase, once, where it has one to ask for.
pub struct Asker<'a> {
    post: &'a Post,
    has_passphrase: bool,
    answers: RefCell<Option<Receiver<Zeroizing<String>>>>,
}

impl<'a> Asker<'a> {
    /// The page's answers come over `answers`.
    pub fn new(post: &'a Post, has_passphrase: bool, answers: Receiver<Zeroizing<String>>) -> Self {
        Self { post, has_passphrase, answers: RefCell::new(Some(answers)) }
    }

    /// `None`: there is none.
    pub async fn ask(&self) -> Option<Zeroizing<String>> {
        let mut answers = self.answers.borrow_mut().take().filter(|_| self.has_passphrase)?;
        self.post.passphrase_wanted();
        answers.next().await
    }
}

/// Keeps an exported identity. The same keys are no conflict: then everything stays, but for a registration elsewhere.
async fn import(store: &Store, backup: &Backup, address: Option<&Address>, replace: bool) -> Result<(), Failure> {
    // Here, what cannot be read may be replaced where that is asked for.
    let known = match read_identity(store).await {
        Ok(known) => known,
        Err(_) if replace => (None, None),
        Err(failure) => return Err(failure),
    };
    let is_same = known.0.as_ref().is_some_and(|known| *known.to_bytes() == *backup.identity.to_bytes());
    if known.0.is_some() && !is_same && !replace {
        return Err(Failure::new(Code::IdentityConflict).during(Phase::Storage));
    }
    let gateway = |registration: &Registration| registration.gateway;
    if is_same && known.1.as_ref().map(gateway) == backup.registration.as_ref().map(gateway) {
        if let Some(address) = address {
            store.set_exported(address).await?;
        }
        return Ok(());
    }
    let identity = backup.identity.to_bytes();
    let registration = backup.registration.as_ref().map(Registration::to_bytes);
    let registration = registration.as_ref().map(|bytes| bytes.as_slice());
    store.replace_identity(&Kept { identity: &identity, registration, exported: address, is_same }, is_same).await?;
    Ok(())
}

/// Changes the outbox in one transaction: all that can be taken is stored, or nothing. Answers what is in it, and why the
/// others were refused.
async fn change_outbox(store: &Store, letters: Vec<Letter>, cancelled: Vec<Id>) -> Result<JsValue, Failure> {
    let pages = store.load_pages(&OUTBOX_SHELVES).await?;
    let pages = pages.iter().map(|(record, bytes)| (*record, bytes.as_ref().map(|bytes| bytes.as_slice())));
    let mut outbox = StoredOutbox::new(pages, Clock::unix());
    let mut refusals = Vec::new();
    for Letter { key, expires, outgoing: Outgoing { to, body, sending, .. } } in letters {
        let envelope = sending.id.ok_or_else(|| invalid("wire is missing".to_owned()))?;
        if let Err(error) = outbox.persist((key, envelope, expires), &to, &body, &sending) {
            refusals.push((key, Failure::from(error)));
        }
    }
    for key in cancelled {
        outbox.cancel(key);
    }
    let changes = outbox.take_changes().into_iter().filter_map(|change| match change {
        Request::Save { record, bytes } => Some((record, Some(bytes))),
        Request::Forget { record } => Some((record, None)),
        _ => None,
    });
    store.write(&changes.collect::<Vec<_>>()).await?;
    Ok(post::stored_outbox(&outbox.states(), &refusals))
}

/// Seals an identity for taking it along: the answer to the page, and the address in it.
///
/// # Errors
/// Where there is no address yet, or not enough memory for the key.
pub fn export(backup: &Backup, passphrase: &str) -> Result<(JsValue, Address), Failure> {
    let address = address_of(&backup.identity, backup.registration.as_ref()).ok_or_else(nothing_yet)?;
    let file = backup.seal(passphrase, Cost::default(), &mut rand_core::UnwrapErr(getrandom::SysRng))?;
    Ok((post::exported(&file, Some(&address)), address))
}

/// Opens an exported identity; with its address, where it is registered.
///
/// # Errors
/// What is wrong with it.
pub fn unseal(imported: &Imported) -> Result<(Backup, Option<Address>), Failure> {
    let backup = Backup::open(&imported.file, &imported.passphrase)?;
    let address = address_of(&backup.identity, backup.registration.as_ref());
    Ok((backup, address))
}

/// The address of an identity, where it is registered.
fn address_of(identity: &Identity, registration: Option<&Registration>) -> Option<Address> {
    identity.address(registration?.gateway).ok()
}

/// There is no identity to export.
fn nothing_yet() -> Failure {
    Failure::new(Code::NotConnected).saying("This profile has no address yet. Call connect() first.")
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let failure = Self::new(match error {
            BackupError::Version(_) => Code::StoredByNewerVersion,
            BackupError::Passphrase => Code::WrongPassphrase,
            _ => Code::IdentityFileInvalid,
        });
        match error {
            BackupError::Passphrase => failure.saying("The passphrase is wrong, or the file is damaged."),
            BackupError::Version(_) => {
                failure.saying("The file was written by a newer mixlet. Update the page and import it again.")
            }
            BackupError::Cost => failure.saying(&error.to_string()),
            _ => failure,
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        let failure = Self::new(error.code()).during(Phase::Storage);
        match error {
            // The page's own text for the code is about something else.
            StorageError::Gone | StorageError::Held | StorageError::Locked => failure.saying(&error.to_string()),
            _ => failure,
        }
    }
}
