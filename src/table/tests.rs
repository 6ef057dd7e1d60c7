//! The same calls to a table and to the standard library's map, which have to agree.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::*;

/// A table, the map it has to agree with, and a generator whose numbers need not be good.
struct Pair {
    table: Table<u16, u32>,
    map: BTreeMap<u16, u32>,
    state: u64,
}

impl Pair {
    fn new(seed: u64) -> Self {
        Self { table: Table::new(), map: BTreeMap::new(), state: seed }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % below
    }

    fn insert(&mut self, key: u16, value: u32) {
        assert_eq!(self.table.insert(key, value), self.map.insert(key, value));
    }

    fn remove(&mut self, key: u16) {
        assert_eq!(self.table.remove(&key), self.map.remove(&key));
    }

    fn check(&mut self) {
        let key = u16::try_from(self.draw(1 << 16)).unwrap();
        let entries: Vec<_> = self.map.iter().collect();
        assert_eq!(self.table.iter().collect::<Vec<_>>(), entries);
        assert_eq!(self.table.len(), entries.len());
        assert_eq!(self.table.first_key_value(), entries.first().copied());
        assert_eq!(self.table.get(&key), self.map.get(&key));
        assert_eq!(self.table.iter_from(&key).next(), self.map.range(key..).next());
        let mut by_place: Vec<_> = self.table.iter_mut().map(|(key, value)| (*key, *value)).collect();
        by_place.sort_unstable();
        assert!(by_place.iter().map(|(key, value)| (key, value)).eq(entries));
        assert_eq!(self.table.tree.check(self.table.tree.root), self.table.len());
    }
}

impl Tree {
    /// Counts the nodes below `at`, which have to obey the rules of levels.
    fn check(&self, at: u32) -> usize {
        let Some(node) = self.nodes.get(at as usize) else { return 0 };
        assert_eq!(self.level(node.left) + 1, node.level);
        assert!([node.level, node.level - 1].contains(&self.level(node.right)));
        if let Some(right) = self.nodes.get(node.right as usize) {
            assert!(self.level(right.right) < node.level);
        }
        self.check(node.left) + self.check(node.right) + 1
    }
}

#[test]
fn a_table_does_what_a_map_does() {
    for seed in 0..60 {
        let mut pair = Pair::new(seed);
        // Few keys, so that many are there already, and many keys, so that the tree becomes deep.
        let keys = [4, 30, 300][seed as usize % 3];
        for step in 0..1_200 {
            let key = u16::try_from(pair.draw(keys) * (0xffff / keys)).unwrap();
            let growing = if step % 400 < 200 { 7 } else { 3 };
            match pair.draw(10) {
                0 => assert_eq!(pair.table.pop_first(), pair.map.pop_first()),
                1 => *pair.table.get_or_insert_with(key, || step) = *pair.map.entry(key).or_insert(step),
                2 => assert_eq!(pair.table.get_mut(&key), pair.map.get_mut(&key)),
                drawn if drawn < growing => pair.insert(key, step),
                _ => pair.remove(key),
            }
            pair.check();
        }
    }
}

#[test]
fn any_order_of_keys_gives_a_shallow_tree() {
    let count = 20_000;
    let orders: [fn(u16) -> u16; 4] = [|n| n, |n| 20_000 - n, |n| n ^ 0x1fff, |n| n.wrapping_mul(40_503)];
    for order in orders {
        let mut pair = Pair::new(1);
        for n in 0..count {
            pair.insert(order(n), u32::from(n));
        }
        pair.check();
        // Twice the logarithm of the size, roughly.
        assert!(pair.table.tree.level(pair.table.tree.root) <= 15);
        for n in (0..count).step_by(2) {
            pair.remove(order(n));
        }
        pair.check();
        assert!(pair.table.tree.nodes.len() == usize::from(count));
        for n in (0..count).step_by(2) {
            pair.insert(order(n), u32::from(n));
        }
        // Free places were used again.
        assert!(pair.table.tree.nodes.len() == usize::from(count));
        pair.check();
        while let Some(entry) = pair.map.pop_first() {
            assert_eq!(pair.table.pop_first(), Some(entry));
        }
        pair.check();
        assert_eq!((pair.table.entries.capacity(), pair.table.tree.nodes.capacity()), (0, 0));
    }
}

#[test]
fn a_set_holds_each_key_once() {
    let mut set = TableSet::new();
    assert!(set.insert("b") && set.insert("a") && set.insert("c"));
    assert!(!set.insert("a"));
    assert_eq!((set.first(), set.len()), (Some(&"a"), 3));
    assert!(set.contains(&"b") && !set.contains(&"d"));
    assert!(set.remove(&"b") && !set.remove(&"b"));
    assert_eq!(set.iter().collect::<Vec<_>>(), [&"a", &"c"]);
    assert_eq!(set.clone().into_iter().collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(set.pop_first(), Some("a"));
    set.clear();
    assert_eq!(set.pop_first(), None);
}
