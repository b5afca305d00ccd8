//! What the console changes in the operator's file: only what must change does, comments and order stay.

use toml_edit::{Array, DocumentMut, Item, Table, TableLike};

use super::disk::mac_of;
use super::management::{self, element, set, text};
use crate::ipc::message::{Card, SetManagement, SetUp, SharedAddress};
use crate::units::{Cidr, IfName, Mac};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// An address for an interface.
    Management(SetManagement),
    /// Name, address, time servers, the address shared with a peer.
    SetUp(SetUp),
    /// Which card each interface is.
    Cards(Vec<Card>),
}

impl Change {
    /// What is done, for messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Management(_) => "set management address",
            Self::SetUp(_) => "set up",
            Self::Cards(_) => "assign cards",
        }
    }

    /// The changed text. With a `node` in force its section is changed, and the rest left to the other boxes.
    ///
    /// # Errors
    /// The text is not TOML, has something else where tables should be, or the wish contradicts itself.
    pub fn edit(&self, text: &str, node: Option<&str>) -> Result<String, String> {
        match self {
            Self::Management(wish) => address(text, node, wish, mac_of(&wish.interface)),
            Self::SetUp(wish) => set_up(text, node, wish, mac_of(&wish.management.interface)),
            Self::Cards(cards) => assign(text, node, cards),
        }
    }
}

fn address(text: &str, node: Option<&str>, wish: &SetManagement, mac: Option<Mac>) -> Result<String, String> {
    if wish.address.is_none() && wish.gateway.is_some() {
        return Err("a gateway goes with a static address, DHCP brings its own".to_owned());
    }
    management::edit(text, node, wish, mac)
}

fn set_up(text: &str, node: Option<&str>, wish: &SetUp, mac: Option<Mac>) -> Result<String, String> {
    let text = address(text, node, &wish.management, mac)?;
    let mut document = parse(&text)?;
    let section = section(&mut document, node)?;
    let system = section.entry("system").or_insert(Item::Table(Table::new()));
    let system = system.as_table_like_mut().ok_or("`system` is not a table")?;
    set(system, "hostname", wish.hostname.as_str().into());
    for (key, servers) in [("dns", strings(&wish.dns)), ("ntp", strings(&wish.ntp))] {
        // None is an answer, too: those of the file would go on being asked.
        if servers.is_empty() {
            system.remove(key);
        } else {
            set(system, key, servers.into());
        }
    }
    if let Some(shared) = &wish.shared {
        share(section, &wish.management.interface, shared)?;
    }
    Ok(document.to_string())
}

/// The virtual router that has the shared address: the one of that number, or a new one.
fn share(section: &mut dyn TableLike, interface: &IfName, shared: &SharedAddress) -> Result<(), String> {
    let is_it = |table: &dyn TableLike| {
        table.get("vrid").and_then(Item::as_integer) == Some(shared.vrid.into())
            && text(table, "interface") == Some(interface.as_str())
    };
    let router = element(section, "vrrp", is_it, ("name", &format!("VI_{}", shared.vrid)))?;
    set(router, "interface", interface.as_str().into());
    set(router, "vrid", i64::from(shared.vrid).into());
    set(router, "priority", i64::from(shared.priority).into());
    set(router, "addresses", strings(&[Cidr::host(shared.address)]).into());
    match shared.peer {
        Some(peer) => set(router, "peers", strings(&[peer]).into()),
        None => drop(router.remove("peers")),
    }
    Ok(())
}

fn assign(text: &str, node: Option<&str>, cards: &[Card]) -> Result<String, String> {
    let mut document = parse(text)?;
    let section = section(&mut document, node)?;
    for Card { interface, mac } in cards {
        let is_it = |table: &dyn TableLike| self::text(table, "name") == Some(interface.as_str());
        let table = element(section, "interface", is_it, ("name", interface.as_str()))?;
        set(table, "mac", mac.to_string().into());
    }
    Ok(document.to_string())
}

fn parse(text: &str) -> Result<DocumentMut, String> {
    text.parse().map_err(|error| format!("not TOML: {error}"))
}

fn section<'d>(document: &'d mut DocumentMut, node: Option<&str>) -> Result<&'d mut dyn TableLike, String> {
    let Some(node) = node else { return Ok(document.as_table_mut()) };
    document
        .get_mut("node")
        .and_then(|nodes| nodes.get_mut(node)?.as_table_like_mut())
        .ok_or_else(|| format!("there is no section [node.{node}]"))
}

fn strings<T: ToString>(values: &[T]) -> Array {
    values.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> SetUp {
        SetUp {
            hostname: "lb7".to_owned(),
            management: SetManagement {
                interface: "eth0".parse().unwrap(),
                address: "10.0.0.7/8".parse().ok(),
                gateway: "10.0.0.1".parse().ok(),
            },
            dns: vec!["10.0.0.53".parse().unwrap()],
            ntp: vec!["10.0.0.1".parse().unwrap()],
            shared: Some(SharedAddress {
                address: "10.0.0.100".parse().unwrap(),
                vrid: 51,
                priority: 150,
                peer: "10.0.0.8".parse().ok(),
            }),
        }
    }

    fn valid(text: &str, node: Option<&str>) -> crate::config::Checked {
        let facts = crate::config::NodeFacts { node: node.map(str::to_owned), ..Default::default() };
        crate::config::check(text, "edited", &facts).unwrap_or_else(|report| panic!("{text}\n{report}"))
    }

    #[test]
    fn a_new_box_is_set_up_at_once() {
        let text = set_up("# mine\nversion = 1\n", None, &wish(), None).unwrap();
        let config = valid(&text, None).config;
        assert!(text.starts_with("# mine\nversion = 1\n"), "{text}");
        assert_eq!(config.system.hostname.as_deref(), Some("lb7"));
        assert_eq!(config.system.dns, wish().dns);
        assert_eq!(
            config.system.ntp,
            wish().ntp.into_iter().map(crate::config::model::Host::Address).collect::<Vec<_>>()
        );
        let router = config.vrrp.first().unwrap();
        assert_eq!((router.name.as_str(), router.vrid.get()), ("VI_51", 51));
    }

    #[test]
    fn what_is_there_is_changed_and_not_doubled() {
        let once =
            set_up("version = 1\n", None, &wish(), None).unwrap().replace("150", "150 # the better one");
        let again = SetUp {
            shared: wish().shared.map(|shared| SharedAddress { priority: 90, peer: None, ..shared }),
            ..wish()
        };
        let twice = set_up(&once, None, &again, None).unwrap();
        assert_eq!(twice, once.replace("150", "90").replace("peers = [\"10.0.0.8\"]\n", ""));
        assert_eq!(valid(&twice, None).config.vrrp.len(), 1);
    }

    #[test]
    fn a_node_is_set_up_in_its_own_section() {
        let file = "version = 1\n[node.lb2]\nmatch = { mac = \"52:54:00:00:00:02\" }\n";
        let text = set_up(file, Some("lb2"), &wish(), None).unwrap();
        assert!(text.starts_with(file), "{text}");
        assert_eq!(valid(&text, Some("lb2")).config.system.hostname.as_deref(), Some("lb7"));
        assert_eq!(valid(&text, None).config.system.hostname, None);
    }

    #[test]
    fn cards_change_places() {
        let file = "version = 1\n[[interface]]\nname = \"eth0\" # outside\nmac = \"52:54:00:00:00:01\" # left\n\
                    [[interface]]\nname = \"eth1\"\nmac = \"52:54:00:00:00:02\"\n";
        let card =
            |name: &str, mac: &str| Card { interface: name.parse().unwrap(), mac: mac.parse().unwrap() };
        let cards = [card("eth0", "52:54:00:00:00:02"), card("eth1", "52:54:00:00:00:01")];
        let text = assign(file, None, &cards).unwrap();
        let wanted = file.replace("00:01", "00:0x").replace("00:02", "00:01").replace("00:0x", "00:02");
        assert_eq!(text, wanted);
        valid(&text, None);
    }

    #[test]
    fn contradictions_are_refused() {
        let mut wish = wish();
        wish.management.address = None;
        assert!(Change::SetUp(wish).edit("version = 1", None).unwrap_err().contains("DHCP brings its own"));
        assert!(
            assign(
                "interface = 1",
                None,
                &[Card { interface: "eth0".parse().unwrap(), mac: "52:54:00:00:00:02".parse().unwrap() }]
            )
            .is_err()
        );
    }
}
