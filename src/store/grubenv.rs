//! GRUB's environment block: 1024 bytes, a header line, `KEY=VALUE` lines, `#` to the end (grub-core/lib/envblk.c).
//!
//! `ORDER` lists the slots, preferred first. For each slot `_ST` is `good`, `try` or `bad`, and `_N` has one `x` for each boot
//! since the system last cleared it. GRUB leaves a slot whose counter is full; see board/common/grub/grub.cfg. `TABLE_BITS` is the
//! size of the table of connections that the kernel is started with. `NEXT` is `safe` where one start is to be in safe mode; GRUB clears it.

use std::collections::BTreeMap;

const SIZE: usize = 1024;
const HEADER: &str = "# GRUB Environment Block\n";

/// What the kernel is started with otherwise (board/pc/cmdline.txt).
const TABLE_BITS: u8 = 18;

/// The variables of the block, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrubEnv(BTreeMap<String, String>);

/// How the running slot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Proven: its boots are counted from zero again.
    Confirmed,
    /// New: it is not proven yet, and its boots stay counted.
    Trying,
    /// Given up, and started by hand: it stays so.
    GivenUp,
}

impl Default for GrubEnv {
    /// What GRUB's script assumes without a block.
    fn default() -> Self {
        let pairs = [("ORDER", "A B"), ("A_ST", "good"), ("A_N", ""), ("B_ST", "good"), ("B_N", "")];
        Self(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into())
    }
}

impl GrubEnv {
    /// Reads a block; `None` if it is none.
    #[must_use]
    pub fn decode(block: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(block).ok().filter(|_| block.len() == SIZE)?;
        let body = text.strip_prefix(HEADER)?;
        let mut pairs = BTreeMap::new();
        for line in body.lines().take_while(|line| !line.starts_with('#')) {
            let (key, value) = line.split_once('=')?;
            pairs.insert(key.to_owned(), unescape(value));
        }
        Some(Self(pairs))
    }

    /// The block; `None` if the variables do not fit.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut text = HEADER.to_owned();
        for (key, value) in &self.0 {
            text.push_str(&format!("{key}={}\n", escape(value)));
        }
        let mut block = text.into_bytes();
        if block.len() > SIZE {
            return None;
        }
        block.resize(SIZE, b'#');
        Some(block)
    }

    /// A variable.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Notes that the system of `slot` (`A` or `B`) came up: the counter of a good one is cleared, so that only boots which
    /// never come so far use it up. A slot on trial keeps its count until it is proven; one that was given up and was started
    /// by hand stays given up.
    pub fn came_up(&mut self, slot: char) -> Slot {
        match self.get(&format!("{slot}_ST")) {
            Some("try") => Slot::Trying,
            Some("good") | None => self.set_good(slot),
            Some(_) => Slot::GivenUp,
        }
    }

    /// Notes that a slot on trial has proven itself: it is a good one from now on.
    pub fn prove(&mut self, slot: char) -> Slot {
        if self.get(&format!("{slot}_ST")) == Some("try") {
            return self.set_good(slot);
        }
        self.came_up(slot)
    }

    /// Whether the boot loader would take another slot once the tries of `slot` are used up.
    #[must_use]
    pub fn has_another(&self, slot: char) -> bool {
        let order = self.get("ORDER").unwrap_or_default().split_whitespace();
        order.into_iter().any(|name| {
            let mut letters = name.chars();
            letters.next().is_some_and(|letter| letter != slot)
                && self.get(&format!("{name}_ST")) == Some("good")
        })
    }

    fn set_good(&mut self, slot: char) -> Slot {
        self.0.insert(format!("{slot}_ST"), "good".to_owned());
        self.0.insert(format!("{slot}_N"), String::new());
        Slot::Confirmed
    }
}

impl GrubEnv {
    /// Whether GRUB would start `slot`: its counter is not full (board/common/grub/grub.cfg).
    #[must_use]
    pub fn may_start(&self, slot: char) -> bool {
        let starts = self.get(&format!("{slot}_N")).unwrap_or_default().len();
        match self.get(&format!("{slot}_ST")) {
            Some("try") => starts < 3,
            Some("good") | None => starts < 6,
            Some(_) => false,
        }
    }

    /// The slot besides `running` whose tries are used up without its having proven itself.
    #[must_use]
    pub fn left(&self, running: char) -> Option<char> {
        let tried = |slot: &char| self.get(&format!("{slot}_ST")) == Some("try") && !self.may_start(*slot);
        ['A', 'B'].into_iter().filter(|slot| *slot != running).find(tried)
    }

    /// Never to be started by itself.
    pub fn give_up(&mut self, slot: char) {
        self.0.insert(format!("{slot}_ST"), "bad".to_owned());
    }

    /// To be started next, and to prove itself.
    pub fn put_on_trial(&mut self, slot: char) {
        self.0.insert(format!("{slot}_ST"), "try".to_owned());
        self.0.insert(format!("{slot}_N"), String::new());
        self.prefer(slot);
    }

    /// To be started before the other one, from now on.
    pub fn prefer(&mut self, slot: char) {
        self.0.insert("ORDER".to_owned(), if slot == 'A' { "A B" } else { "B A" }.to_owned());
    }

    /// The next start, and no other, is in safe mode.
    pub fn start_safe(&mut self) {
        self.0.insert("NEXT".to_owned(), "safe".to_owned());
    }

    /// Sets with how many buckets, as a power of two, the kernel's table of connections begins.
    pub fn set_table_bits(&mut self, bits: u8) {
        if bits == TABLE_BITS {
            self.0.remove("TABLE_BITS");
        } else {
            self.0.insert("TABLE_BITS".to_owned(), bits.to_string());
        }
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\\n")
}

fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(body: &str) -> Vec<u8> {
        let mut block = format!("{HEADER}{body}").into_bytes();
        block.resize(SIZE, b'#');
        block
    }

    #[test]
    fn a_block_round_trips() {
        let bytes = block("A_N=xx\nA_ST=good\nB_N=\nB_ST=try\nORDER=A B\n");
        let env = GrubEnv::decode(&bytes).unwrap();
        assert_eq!(env.get("ORDER"), Some("A B"));
        assert_eq!(env.encode().unwrap(), bytes);
    }

    #[test]
    fn a_full_block_has_no_padding() {
        let mut env = GrubEnv::default();
        let free = env.encode().unwrap().iter().filter(|byte| **byte == b'#').count() - 1;
        env.0.insert("X".to_owned(), "y".repeat(free - "X=\n".len()));
        assert_eq!(GrubEnv::decode(&env.encode().unwrap()), Some(env.clone()));
        env.0.insert("Y".to_owned(), String::new());
        assert_eq!(env.encode(), None);
    }

    #[test]
    fn damage_is_noticed() {
        assert_eq!(GrubEnv::decode(&[0; SIZE]), None);
        assert_eq!(GrubEnv::decode(&block("A_N\n")), None);
        assert_eq!(GrubEnv::decode(&block("")[1..]), None);
    }

    #[test]
    fn coming_up_clears_the_counter_of_a_good_slot_only() {
        let mut env = GrubEnv::decode(&block("A_N=xxx\nA_ST=good\nB_N=xx\nB_ST=try\nORDER=B A\n")).unwrap();
        assert_eq!(env.came_up('B'), Slot::Trying);
        assert_eq!(env.get("B_N"), Some("xx"));
        assert_eq!(env.came_up('A'), Slot::Confirmed);
        assert_eq!(env.get("A_N"), Some(""));
        assert_eq!(
            (env.prove('B'), env.get("B_ST"), env.get("B_N")),
            (Slot::Confirmed, Some("good"), Some(""))
        );
        env.0.insert("B_ST".to_owned(), "bad".to_owned());
        assert_eq!((env.prove('B'), env.get("B_ST")), (Slot::GivenUp, Some("bad")));
        assert_eq!((env.came_up('B'), env.get("B_ST")), (Slot::GivenUp, Some("bad")));
        assert!(env.has_another('B') && !env.has_another('A'));
        assert_eq!(env.left('A'), None, "it was given up by the operator");
        for (starts, left) in [("xx", None), ("xxx", Some('B'))] {
            env.0.extend([("B_ST".to_owned(), "try".to_owned()), ("B_N".to_owned(), starts.to_owned())]);
            assert_eq!((env.left('A'), env.left('B')), (left, None));
        }
    }
}
