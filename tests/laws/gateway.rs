//! The gateway half of the link, with books in memory.

use std::collections::BTreeMap;

use mixlet::gateway::server::{Balance, Output, Registry, Session};
use mixlet::gateway::{ClientId, IdentityKeypair, SharedKey, VERSION_MAX, seal_push};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// One gateway and its connection with the one client.
pub struct Gateway {
    session: Session,
    pub books: Books,
    rng: ChaCha20Rng,
}

/// What it knows beyond a connection.
pub struct Books {
    pub identity: IdentityKeypair,
    pub accounts: BTreeMap<ClientId, Account>,
    pub now_unix: u64,
    pub version: u8,
    pub free_claims: bool,
    pub upgrade_mode: bool,
    /// The client's place is taken, and the newcomer refused.
    pub occupied: bool,
}

pub struct Account {
    pub shared: SharedKey,
    pub last_login: u64,
    pub balance: Balance,
    pub inbox: Vec<Vec<u8>>,
}

impl Account {
    pub fn new(shared: SharedKey) -> Self {
        Self { shared, last_login: 0, balance: Balance::default(), inbox: Vec::new() }
    }
}

impl Gateway {
    pub fn new(identity: IdentityKeypair, now_unix: u64) -> Self {
        let books = Books {
            identity,
            accounts: BTreeMap::new(),
            now_unix,
            version: VERSION_MAX,
            free_claims: true,
            upgrade_mode: false,
            occupied: false,
        };
        Self { session: Session::new(), books, rng: ChaCha20Rng::seed_from_u64(3) }
    }

    /// A new connection.
    pub fn accept(&mut self) {
        self.session = Session::new();
    }

    pub fn client(&self) -> Option<ClientId> {
        self.session.client()
    }

    pub fn text(&mut self, text: &str) -> Vec<Output> {
        self.session.handle_text(text, &mut self.books, &mut self.rng)
    }

    pub fn binary(&mut self, frame: &[u8]) -> Vec<Output> {
        self.session.handle_binary(frame, &mut self.books)
    }

    pub fn timeout(&mut self) -> Vec<Output> {
        self.session.handle_timeout()
    }

    /// The frame with this payload for a client that is registered, whether it is in or not.
    pub fn seal(&mut self, client: &ClientId, payload: &[u8]) -> Option<Vec<u8>> {
        Some(seal_push(&self.books.accounts.get(client)?.shared, payload, &mut self.rng))
    }
}

impl Registry for Books {
    fn identity(&self) -> &IdentityKeypair {
        &self.identity
    }

    fn now_unix(&self) -> u64 {
        self.now_unix
    }

    fn version(&self) -> u8 {
        self.version
    }

    fn shared_key(&self, client: &ClientId) -> Option<&SharedKey> {
        self.accounts.get(client).map(|account| &account.shared)
    }

    fn set_shared_key(&mut self, client: &ClientId, shared: SharedKey) {
        self.accounts.insert(*client, Account { last_login: self.now_unix, ..Account::new(shared) });
    }

    fn forget(&mut self, client: &ClientId) {
        self.accounts.remove(client);
    }

    fn last_login(&self, client: &ClientId) -> u64 {
        self.accounts.get(client).map_or(0, |account| account.last_login)
    }

    fn set_last_login(&mut self, client: &ClientId, unix_seconds: u64) {
        if let Some(account) = self.accounts.get_mut(client) {
            account.last_login = unix_seconds;
        }
    }

    fn balance(&self, client: &ClientId) -> Balance {
        self.accounts.get(client).map_or(Balance::default(), |account| account.balance)
    }

    fn set_balance(&mut self, client: &ClientId, balance: Balance) {
        if let Some(account) = self.accounts.get_mut(client) {
            account.balance = balance;
        }
    }

    fn take_over(&mut self, _: &ClientId) -> bool {
        !self.occupied
    }

    fn take_stored(&mut self, client: &ClientId) -> Vec<Vec<u8>> {
        self.accounts.get_mut(client).map_or_else(Vec::new, |account| core::mem::take(&mut account.inbox))
    }

    fn free_claims(&self) -> bool {
        self.free_claims
    }

    fn upgrade_mode(&self) -> bool {
        self.upgrade_mode
    }
}
