//! The terminal that nobody uses: what it announces, and whom it asks for that. Pure.

use super::{Command, Session};
use crate::console::announce::INVITATION;
use crate::console::screens::Input;
use crate::role::Role;

/// Time for which `store` alone is asked, at most, milliseconds.
const ALONE_MS: u64 = 2_500;

impl Session {
    pub(super) fn idle(&mut self, input: &Input) -> Option<Command> {
        match input {
            Input::Tick => {
                self.waiting = true;
                Some(Command::Look(self.of_interest()))
            }
            Input::Answer(_) => {
                let news = self.announcer.news(&self.snapshot, self.now_ms);
                if !news.is_empty() {
                    self.print(&news.join("\n"));
                    self.print(INVITATION);
                }
                None
            }
            Input::Line(_) | Input::Key(_) | Input::Cancel => None,
        }
    }

    /// Who is asked while nobody is here. A booting box has better things to do than to answer us: as long as there is no
    /// configuration, only `store`; and everybody only until everybody has it.
    fn of_interest(&self) -> Vec<Role> {
        if self.snapshot.generation().is_none() && self.now_ms < ALONE_MS {
            return vec![Role::Store];
        }
        let mut roles = vec![Role::Init, Role::Store, Role::Net];
        if !self.announcer.ready() {
            roles.extend([Role::Vrrp, Role::Lvs]);
        }
        roles
    }
}
