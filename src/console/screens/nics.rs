//! The list of NICs from which several dialogues choose.

use super::WIDTH;
use crate::console::ascii::wrap;
use crate::console::snapshot::Snapshot;
use crate::ctl::status;
use crate::role::Role;
use crate::units::IfName;

/// What asks for one of them.
pub fn prompt(snapshot: &Snapshot) -> String {
    let count = snapshot.net.as_ref().map_or(0, |net| net.links.len());
    let range = if count == 1 { "1".to_owned() } else { format!("1-{count}") };
    format!("Interface ({range}, empty line = back): ")
}

/// All of them with number, link, hardware address and addresses; or why there is none.
pub fn list(snapshot: &Snapshot) -> Result<String, String> {
    let Some(net) = &snapshot.net else { return Err(snapshot.absence(Role::Net)) };
    if net.links.is_empty() {
        return Err("This box has no network interface that its kernel knows.".to_owned());
    }
    let rows = net.links.iter().enumerate().map(|(n, (name, link))| {
        vec![
            format!(" {}", n + 1),
            name.to_string(),
            status::link_state(link).to_owned(),
            link.mac.map_or_else(String::new, |mac| mac.to_string()),
            status::link_addresses(link),
        ]
    });
    let rows = status::table(rows.collect());
    let rows: Vec<String> = rows.iter().flat_map(|row| wrap(row, WIDTH, "    ")).collect();
    Ok(format!("\nNetwork interfaces:\n{}", rows.join("\n")))
}

/// The one that is meant by a number or a name.
pub fn chosen(line: &str, snapshot: &Snapshot) -> Result<IfName, String> {
    let links = snapshot.net.iter().flat_map(|net| net.links.keys());
    links
        .enumerate()
        .find(|(n, name)| line == (n + 1).to_string() || line == name.as_str())
        .map(|(_, name)| name.clone())
        .ok_or_else(|| format!("{line:?} is not one of the numbers above."))
}
