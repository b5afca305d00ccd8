//! What a dead worker has left in the kernel is taken off, by a process of its own, while nobody else keeps the VIPs.

use std::io;

use crate::vrrp::devices::{self, Devices};
use crate::vrrp::facts::Facts;
use crate::vrrp::kernel::Kernel;
use crate::vrrp::vips::{self, Desired};
use crate::vrrp::ways::Ways;

/// Takes off the VIPs, devices, routes and rules that carry our mark.
///
/// # Errors
/// The kernel cannot be asked, or has refused a change: the first one.
pub(super) fn withdraw() -> io::Result<()> {
    let mut kernel = Kernel::open()?;
    let facts = Facts { links: kernel.links()?, ..Facts::default() };
    let changes =
        vips::diff(&facts, &Desired::new()).into_iter().chain(devices::after(&facts, &Devices::new()));
    let mut done = Ok(());
    for change in changes {
        let Some(link) = facts.links.get(change.on()) else { continue };
        // One that is refused keeps none of the others.
        let applied = kernel.apply(&change, link.index);
        done = done.and(applied);
    }
    let indexes = facts.links.iter().map(|(name, link)| (name.clone(), link.index)).collect();
    let refused = kernel.agree_on_ways(&Ways::default(), &indexes)?.into_iter().find_map(|(_, error)| error);
    done?;
    refused.map_or(Ok(()), |error| Err(io::Error::other(error)))
}
