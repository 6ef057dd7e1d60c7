//! Ordered maps and sets whose code exists once.
//!
//! The maps of the standard library are compiled anew for each pair of key and value, which was a third of the
//! download. Here one tree of numbers serves all types: it knows nothing of keys, it is told how they compare. What is
//! compiled for each type is a few lines around it.
//!
//! Names and meanings are those of `BTreeMap` and `BTreeSet`. One differs: [`Table::values_mut`] and
//! [`Table::iter_mut`] go by place of storage, not by key. The places depend on nothing but the calls that were made, so
//! that what goes by them is the same in every run.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

/// An ordered map. Empty, it takes no memory outside of itself, and it gives its memory back when it becomes empty.
#[derive(Clone)]
pub(crate) struct Table<K, V> {
    tree: Tree,
    /// As many as the tree has nodes; `None` where a node is free.
    entries: Vec<Option<(K, V)>>,
}

impl<K, V> Table<K, V> {
    pub(crate) const fn new() -> Self {
        Self { tree: Tree::new(), entries: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.tree.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tree.len == 0
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }

    /// The entries in the order of their keys.
    pub(crate) fn iter(&self) -> Iter<'_, K, V> {
        Iter { table: self, at: self.tree.first }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The entries by place of storage.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().flatten().map(|(key, value)| (&*key, value))
    }

    /// The values by place of storage.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().flatten().map(|(_, value)| value)
    }

    pub(crate) fn first_key_value(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    pub(crate) fn pop_first(&mut self) -> Option<(K, V)> {
        let first = self.tree.first;
        // Nothing is on its left.
        self.tree.remove(first, &|_| true);
        self.take(first)
    }

    /// The values in the order of their keys.
    pub(crate) fn into_values(mut self) -> impl Iterator<Item = V> {
        core::iter::from_fn(move || self.pop_first()).map(|(_, value)| value)
    }

    fn entry_at(&self, at: u32) -> Option<(&K, &V)> {
        match self.entries.get(at as usize) {
            Some(Some((key, value))) => Some((key, value)),
            _ => None,
        }
    }

    /// Takes the entry of a place that the tree has freed.
    fn take(&mut self, at: u32) -> Option<(K, V)> {
        let entry = self.entries.get_mut(at as usize).and_then(Option::take);
        if self.is_empty() {
            self.clear();
        }
        entry
    }
}

impl<K: Ord, V> Table<K, V> {
    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.find(key) != NONE
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        Some(self.entry_at(self.find(key))?.1)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key);
        match self.entries.get_mut(at as usize) {
            Some(Some((_, value))) => Some(value),
            _ => None,
        }
    }

    /// Answers the value that was there before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.entry(&key) {
            Some((_, old)) => Some(core::mem::replace(old, value)),
            free => {
                *free = Some((key, value));
                None
            }
        }
    }

    pub(crate) fn get_or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        &mut self.entry(&key).get_or_insert_with(|| (key, value())).1
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find(key);
        let entries = &self.entries;
        self.tree.remove(at, &|at| order(entries, key, at) == Ordering::Less);
        Some(self.take(at)?.1)
    }

    /// The entries in order, beginning with the first whose key is not less than this one.
    pub(crate) fn iter_from(&self, key: &K) -> Iter<'_, K, V> {
        Iter { table: self, at: self.tree.first_from(&|at| order(&self.entries, key, at)) }
    }

    fn find(&self, key: &K) -> u32 {
        self.tree.find(&|at| order(&self.entries, key, at))
    }

    /// The entry with this key; an empty one in its place in the order when there is none, which the caller has to fill.
    fn entry(&mut self, key: &K) -> &mut Option<(K, V)> {
        let mut at = self.find(key);
        if at == NONE {
            let entries = &self.entries;
            at = self.tree.insert(&|at| order(entries, key, at));
            if at as usize == self.entries.len() {
                self.entries.push(None);
            }
        }
        &mut self.entries[at as usize]
    }
}

/// How a key compares with the one at a place.
fn order<K: Ord, V>(entries: &[Option<(K, V)>], key: &K, at: u32) -> Ordering {
    match entries.get(at as usize) {
        Some(Some((other, _))) => key.cmp(other),
        _ => Ordering::Equal,
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Entries in the order of their keys.
pub(crate) struct Iter<'a, K, V> {
    table: &'a Table<K, V>,
    at: u32,
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.table.entry_at(self.at)?;
        self.at = self.table.tree.nodes[self.at as usize].next;
        Some(entry)
    }
}

/// An ordered set.
#[derive(Clone)]
pub(crate) struct TableSet<K>(Table<K, ()>);

impl<K: Ord> TableSet<K> {
    pub(crate) const fn new() -> Self {
        Self(Table::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Whether it was not there before.
    pub(crate) fn insert(&mut self, key: K) -> bool {
        self.0.insert(key, ()).is_none()
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, key: &K) -> bool {
        self.0.remove(key).is_some()
    }

    pub(crate) fn first(&self) -> Option<&K> {
        self.0.first_key_value().map(|(key, ())| key)
    }

    pub(crate) fn pop_first(&mut self) -> Option<K> {
        self.0.pop_first().map(|(key, ())| key)
    }
}

impl<K> Default for TableSet<K> {
    fn default() -> Self {
        Self(Table::default())
    }
}

/// The keys in order.
impl<K: Ord> IntoIterator for TableSet<K> {
    type Item = K;
    type IntoIter = IntoIter<K>;

    fn into_iter(self) -> IntoIter<K> {
        IntoIter(self)
    }
}

/// The keys of a set that is used up by it.
pub(crate) struct IntoIter<K>(TableSet<K>);

impl<K: Ord> Iterator for IntoIter<K> {
    type Item = K;

    fn next(&mut self) -> Option<K> {
        self.0.pop_first()
    }
}

/// An AA tree of places, threaded in order. Each node has a level; a left child is one level below its parent, a right
/// child at most one and not on the same level as its own right child. So the tree is never deeper than twice the
/// logarithm of its size, whatever the keys are and whoever has chosen them.
#[derive(Clone)]
struct Tree {
    nodes: Vec<Node>,
    root: u32,
    first: u32,
    /// The first of the free places, which are chained by `next`.
    free: u32,
    len: usize,
}

#[derive(Clone, Copy)]
struct Node {
    left: u32,
    right: u32,
    previous: u32,
    next: u32,
    level: u8,
}

/// What an entry takes beside key and value, in bytes.
pub(crate) const NODE_LEN: usize = size_of::<Node>();

/// No place. No vector is so long.
const NONE: u32 = u32::MAX;

impl Tree {
    const fn new() -> Self {
        Self { nodes: Vec::new(), root: NONE, first: NONE, free: NONE, len: 0 }
    }

    /// The node at which `order` (what is looked for, compared with a node) is `Equal`; `NONE` when there is none.
    fn find(&self, order: &dyn Fn(u32) -> Ordering) -> u32 {
        let mut at = self.root;
        while let Some(node) = self.nodes.get(at as usize) {
            at = match order(at) {
                Ordering::Less => node.left,
                Ordering::Equal => return at,
                Ordering::Greater => node.right,
            };
        }
        NONE
    }

    /// The first node that is not less than what is looked for.
    fn first_from(&self, order: &dyn Fn(u32) -> Ordering) -> u32 {
        let (mut at, mut found) = (self.root, NONE);
        while let Some(node) = self.nodes.get(at as usize) {
            if order(at) == Ordering::Greater {
                at = node.right;
            } else {
                found = at;
                at = node.left;
            }
        }
        found
    }

    /// Makes a node for what is compared by `order` and is not there yet, and answers its place: a free one, or the one
    /// behind the last.
    fn insert(&mut self, order: &dyn Fn(u32) -> Ordering) -> u32 {
        let mut new = self.free;
        if new == NONE {
            new = u32::try_from(self.nodes.len()).unwrap_or(NONE);
            self.nodes.push(Node::LEAF);
        } else {
            self.free = self.nodes[new as usize].next;
            self.nodes[new as usize] = Node::LEAF;
        }
        self.root = self.attach(self.root, new, order);
        let Node { previous, next, .. } = self.nodes[new as usize];
        self.thread(previous, new);
        self.thread(new, next);
        self.len += 1;
        new
    }

    /// Removes a node, unless it is `NONE`, and frees its place. `is_left` says whether it is on the left of a node.
    fn remove(&mut self, gone: u32, is_left: &dyn Fn(u32) -> bool) {
        if gone == NONE {
            return;
        }
        self.root = self.detach(self.root, gone, is_left);
        let Node { previous, next, .. } = self.nodes[gone as usize];
        self.thread(previous, next);
        self.nodes[gone as usize].next = self.free;
        self.free = gone;
        self.len -= 1;
    }

    /// Makes two nodes neighbours in the order; `NONE` stands for its ends.
    fn thread(&mut self, previous: u32, next: u32) {
        match self.nodes.get_mut(previous as usize) {
            Some(node) => node.next = next,
            None => self.first = next,
        }
        if let Some(node) = self.nodes.get_mut(next as usize) {
            node.previous = previous;
        }
    }

    /// Puts a new node below `at`, and answers what is at the top then. Notes the new node's neighbours on the way.
    fn attach(&mut self, at: u32, new: u32, order: &dyn Fn(u32) -> Ordering) -> u32 {
        if at == NONE {
            return new;
        }
        if order(at) == Ordering::Less {
            self.nodes[new as usize].next = at;
            let left = self.attach(self.nodes[at as usize].left, new, order);
            self.nodes[at as usize].left = left;
        } else {
            self.nodes[new as usize].previous = at;
            let right = self.attach(self.nodes[at as usize].right, new, order);
            self.nodes[at as usize].right = right;
        }
        let at = self.skew(at);
        self.split(at)
    }

    /// Takes a node from below `at`, or `at` itself, and answers what is at the top then.
    fn detach(&mut self, mut at: u32, gone: u32, is_left: &dyn Fn(u32) -> bool) -> u32 {
        let Node { left, right, next, level, .. } = self.nodes[at as usize];
        if at != gone {
            if is_left(at) {
                self.nodes[at as usize].left = self.detach(left, gone, is_left);
            } else {
                self.nodes[at as usize].right = self.detach(right, gone, is_left);
            }
        } else if left == NONE {
            return right;
        } else {
            // What has a left child also has a right one. The next in order, which is below that, takes its place.
            let right = self.detach(right, next, &|_| true);
            at = next;
            let node = &mut self.nodes[at as usize];
            (node.left, node.right, node.level) = (left, right, level);
        }
        self.lower(at)
    }

    /// Mends the levels below `at` after one has become lower there.
    fn lower(&mut self, at: u32) -> u32 {
        let Node { left, right, level, .. } = self.nodes[at as usize];
        let level_max = self.level(left).min(self.level(right)) + 1;
        if level_max < level {
            self.nodes[at as usize].level = level_max;
            if let Some(right) = self.nodes.get_mut(right as usize) {
                right.level = right.level.min(level_max);
            }
        }
        let at = self.skew(at);
        let right = self.skew(self.nodes[at as usize].right);
        self.nodes[at as usize].right = right;
        if right != NONE {
            self.nodes[right as usize].right = self.skew(self.nodes[right as usize].right);
        }
        let at = self.split(at);
        self.nodes[at as usize].right = self.split(self.nodes[at as usize].right);
        at
    }

    /// A left child on the level of its parent becomes the parent.
    fn skew(&mut self, at: u32) -> u32 {
        let Some(&Node { left, level, .. }) = self.nodes.get(at as usize) else { return at };
        if self.level(left) != level {
            return at;
        }
        self.nodes[at as usize].left = self.nodes[left as usize].right;
        self.nodes[left as usize].right = at;
        left
    }

    /// Of three on one level in a line to the right, the middle one rises above the others.
    fn split(&mut self, at: u32) -> u32 {
        let Some(&Node { right, level, .. }) = self.nodes.get(at as usize) else { return at };
        let Some(&Node { left: middle, right: last, .. }) = self.nodes.get(right as usize) else { return at };
        if self.level(last) != level {
            return at;
        }
        self.nodes[at as usize].right = middle;
        self.nodes[right as usize].left = at;
        self.nodes[right as usize].level += 1;
        right
    }

    /// What is not there is below all.
    fn level(&self, at: u32) -> u8 {
        self.nodes.get(at as usize).map_or(0, |node| node.level)
    }
}

impl Node {
    const LEAF: Self = Self { left: NONE, right: NONE, previous: NONE, next: NONE, level: 1 };
}

#[cfg(test)]
mod tests;
