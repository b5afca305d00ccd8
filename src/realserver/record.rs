//! What `up` changed, so that `down` takes back that and nothing else. Pure.

use serde::{Deserialize, Serialize};

use super::plan::{Need, Wish, needs};

/// Kept in a file until the next boot, which forgets the changes, too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Record {
    /// The VIPs that are up, in the order in which they came.
    pub wishes: Vec<Wish>,
    /// What was changed for them, in the order in which it was done.
    pub changes: Vec<Change>,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What is true now.
    pub need: Need,
    /// The value of a sysctl before.
    pub before: Option<String>,
}

impl Record {
    /// Adds VIPs; one that is there gets the new arrival. Returns all that has to be true now.
    pub fn add(&mut self, wishes: &[Wish]) -> Vec<Need> {
        for wish in wishes {
            match self.wishes.iter_mut().find(|known| known.vip == wish.vip) {
                Some(known) => *known = *wish,
                None => self.wishes.push(*wish),
            }
        }
        needs(&self.wishes)
    }

    /// Notes a change. Of one that had to be made again the first value before stays.
    pub fn note(&mut self, need: Need, before: Option<String>) {
        if !self.changes.iter().any(|change| change.need == need) {
            self.changes.push(Change { need, before });
        }
    }

    /// Forgets a change that was taken back.
    pub fn forget(&mut self, need: &Need) {
        self.changes.retain(|change| change.need != *need);
    }

    /// Changes that nothing needs any more, the last one first.
    #[must_use]
    pub fn superfluous(&self) -> Vec<Change> {
        let needed = needs(&self.wishes);
        self.changes.iter().rev().filter(|change| !needed.contains(&change.need)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realserver::plan::Arrival;

    fn wish(vip: &str, arrival: Arrival) -> Wish {
        Wish { vip: vip.parse().unwrap(), arrival }
    }

    fn up(record: &mut Record, wish: Wish) {
        for need in record.add(&[wish]) {
            record.note(need, None);
        }
    }

    fn take_back(record: &mut Record) -> Vec<String> {
        let superfluous = record.superfluous();
        superfluous.iter().for_each(|change| record.forget(&change.need));
        superfluous.iter().map(|change| change.need.to_string()).collect()
    }

    #[test]
    fn only_what_no_other_vip_needs_is_taken_back_the_last_first() {
        let mut record = Record::default();
        up(&mut record, wish("192.0.2.1", Arrival::Dr));
        up(&mut record, wish("192.0.2.2", Arrival::Ipip));
        record.wishes.retain(|wish| wish.vip.to_string() != "192.0.2.2");
        assert_eq!(
            take_back(&mut record),
            [
                "192.0.2.2/32 on lo",
                "net.ipv4.conf.tunl0.rp_filter=0",
                "net.ipv4.conf.all.rp_filter=0",
                "link tunl0 up",
                "link tunl0 of kind ipip"
            ]
        );
        record.wishes.clear();
        assert_eq!(take_back(&mut record).first().unwrap(), "192.0.2.1/32 on lo");
        assert_eq!(record, Record::default());
    }

    #[test]
    fn another_arrival_leaves_the_old_one_superfluous() {
        let mut record = Record::default();
        up(&mut record, wish("2001:db8::1", Arrival::Ipip));
        up(&mut record, wish("2001:db8::1", Arrival::Dr));
        assert_eq!(take_back(&mut record), ["link ip6tnl0 up", "link ip6tnl0 of kind ip6tnl"]);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
