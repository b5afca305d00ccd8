//! The table in the kernel, kept as it should be.

use super::client::{Client, Error};
use super::ruleset::Ruleset;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Nothing: it is as it should be.
    Nothing,
    /// The rules were set, because others are wanted or because nobody knew what the kernel had.
    Set,
    /// The rules were set again, because somebody else had changed them.
    Repaired,
}

/// Keeps the table. It is left in place when this is dropped: the next process goes on from there.
///
/// The table has no owner in the sense of the kernel (`NFT_TABLE_F_OWNER`), since it would vanish with the process that
/// made it, and a worker may end at any time without one connection noticing.
#[derive(Debug, Default)]
pub struct Keeper {
    client: Option<Client>,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    ruleset: Ruleset,
    generation: u32,
    fingerprint: Option<u64>,
}

impl Keeper {
    /// Makes the kernel's table that of `ruleset`. Costs one question as long as nobody changes any rules.
    ///
    /// # Errors
    /// [`Error`]; the next call begins anew.
    pub fn keep(&mut self, ruleset: &Ruleset) -> Result<Done, Error> {
        match self.try_keep(ruleset) {
            // Nothing is wanted of a kernel that has nothing.
            Err(Error::Unavailable) if ruleset.is_empty() => Ok(Done::Nothing),
            Err(error) => {
                *self = Self::default();
                Err(error)
            }
            done => done,
        }
    }

    fn try_keep(&mut self, ruleset: &Ruleset) -> Result<Done, Error> {
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(Client::connect()?),
        };
        let generation = client.generation()?;
        let same = self.kept.as_mut().filter(|kept| kept.ruleset == *ruleset);
        let foreign = same.is_some();
        if let Some(kept) = same {
            if kept.generation == generation {
                return Ok(Done::Nothing);
            }
            if client.fingerprint()? == kept.fingerprint {
                kept.generation = generation;
                return Ok(Done::Nothing);
            }
        }
        let nothing = ruleset.is_empty() && client.fingerprint()?.is_none();
        if !nothing {
            client.replace(ruleset)?;
        }
        let generation = client.generation()?;
        let fingerprint = client.fingerprint()?;
        self.kept = Some(Kept { ruleset: ruleset.clone(), generation, fingerprint });
        Ok(match (nothing, foreign) {
            (true, _) => Done::Nothing,
            (false, true) => Done::Repaired,
            (false, false) => Done::Set,
        })
    }
}
