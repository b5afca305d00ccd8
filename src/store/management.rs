//! A management address into the operator's file: only what must change does, comments and order stay. Pure.

use std::net::IpAddr;

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use crate::ipc::message::SetManagement;
use crate::units::{Cidr, Mac};

/// The text of a file in which the interface of `wish` has its address.
///
/// What differs between boxes stays apart: with a `node` in force, its section is changed and the rest is left to the other
/// boxes. The first address of the family is the management address; further ones stay. `mac` is that of the interface, for
/// a file that selects it so.
///
/// # Errors
/// The text is not TOML, or has something else where interfaces should be.
pub fn edit(
    text: &str,
    node: Option<&str>,
    wish: &SetManagement,
    mac: Option<Mac>,
) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("not TOML: {error}"))?;
    let file = Existing::find(document.as_table(), wish, mac);
    let own = node.and_then(|node| document.get("node")?.get(node)?.as_table_like());
    let here = own.map_or_else(|| file.clone(), |own| Existing::find(own, wish, mac));
    let wanted = Wanted::new(wish, here.addresses.as_ref().or(file.addresses.as_ref()));
    let section = match node {
        None => document.as_table_mut() as &mut dyn TableLike,
        Some(node) => document
            .get_mut("node")
            .and_then(|nodes| nodes.get_mut(node)?.as_table_like_mut())
            .ok_or_else(|| format!("there is no section [node.{node}]"))?,
    };
    let selector = match (file.by_mac, mac) {
        (true, Some(mac)) => ("mac", mac.to_string()),
        _ => ("name", wish.interface.to_string()),
    };
    let is_it = |table: &dyn TableLike| names(table, wish, mac);
    let interface = element(section, "interface", is_it, (selector.0, &selector.1))?;
    wanted.write(interface, node.is_some());
    if let Some(gateway) = wish.gateway
        && file.gateway(gateway) != Some(gateway)
    {
        let to = if gateway.is_ipv4() { "default" } else { "::/0" };
        let route = element(section, "route", |table| is_default(table, gateway), ("to", to))?;
        set(route, "via", gateway.to_string().into());
    }
    Ok(document.to_string())
}

/// What a section says of the interface.
#[derive(Clone, Default)]
struct Existing {
    by_mac: bool,
    addresses: Option<Vec<String>>,
    gateways: Vec<IpAddr>,
}

impl Existing {
    fn find(section: &dyn TableLike, wish: &SetManagement, mac: Option<Mac>) -> Self {
        let mut found = Self::default();
        for table in tables(section.get("interface")).filter(|table| names(*table, wish, mac)) {
            found.by_mac = table.get("name").is_none();
            let list = table.get("addresses").and_then(Item::as_array);
            found.addresses =
                list.map(|list| list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect());
        }
        for table in tables(section.get("route")) {
            let via = text(table, "via").and_then(|via| via.parse().ok());
            found.gateways.extend(via.filter(|via| is_default(table, *via)));
        }
        found
    }

    /// The default gateway of the family of `like`.
    fn gateway(&self, like: IpAddr) -> Option<IpAddr> {
        self.gateways.iter().copied().find(|via| via.is_ipv4() == like.is_ipv4())
    }
}

/// What the interface shall have.
struct Wanted {
    addresses: Vec<String>,
    dhcp: bool,
}

impl Wanted {
    fn new(wish: &SetManagement, present: Option<&Vec<String>>) -> Self {
        let mut addresses = present.cloned().unwrap_or_default();
        let family = |text: &String| text.parse::<Cidr>().ok().map(|cidr| cidr.address.is_ipv4());
        match wish.address {
            // DHCP gives IPv4 addresses.
            None => addresses.retain(|text| family(text) != Some(true)),
            Some(address) => {
                let new = address.to_string();
                addresses.retain(|text| *text != new);
                let ipv4 = Some(address.address.is_ipv4());
                match addresses.iter_mut().find(|text| family(text) == ipv4) {
                    Some(first) => *first = new,
                    None => addresses.insert(0, new),
                }
            }
        }
        let dhcp = wish.address.is_none();
        Self { addresses, dhcp }
    }

    /// In a node's section a key cannot be left out: it would come from the rest of the file.
    fn write(&self, interface: &mut dyn TableLike, explicit: bool) {
        if self.dhcp || explicit {
            set(interface, "dhcp", self.dhcp.into());
        } else {
            interface.remove("dhcp");
        }
        if self.addresses.is_empty() && !explicit {
            interface.remove("addresses");
        } else {
            set(interface, "addresses", Value::Array(self.addresses.iter().collect::<Array>()));
        }
    }
}

pub(super) fn text<'t>(table: &'t dyn TableLike, key: &str) -> Option<&'t str> {
    table.get(key).and_then(Item::as_str)
}

fn names(table: &dyn TableLike, wish: &SetManagement, mac: Option<Mac>) -> bool {
    match (text(table, "name"), text(table, "mac")) {
        (Some(name), _) => name == wish.interface.as_str(),
        (None, Some(text)) => mac.is_some() && text.parse().ok() == mac,
        (None, None) => false,
    }
}

fn is_default(table: &dyn TableLike, gateway: IpAddr) -> bool {
    let via: Option<IpAddr> = text(table, "via").and_then(|via| via.parse().ok());
    let same_family = via.is_none_or(|via| via.is_ipv4() == gateway.is_ipv4());
    match text(table, "to") {
        Some("default") => same_family,
        Some("0.0.0.0/0") => gateway.is_ipv4(),
        Some("::/0") => gateway.is_ipv6(),
        _ => false,
    }
}

/// The tables of `[[key]]` or of `key = [{ … }]`.
pub(super) fn tables<'t>(item: Option<&'t Item>) -> Box<dyn Iterator<Item = &'t dyn TableLike> + 't> {
    match item {
        Some(Item::ArrayOfTables(tables)) => Box::new(tables.iter().map(|table| table as &dyn TableLike)),
        Some(Item::Value(Value::Array(array))) => {
            Box::new(array.iter().filter_map(|value| Some(value.as_inline_table()? as &dyn TableLike)))
        }
        _ => Box::new(std::iter::empty()),
    }
}

/// The element of the list `key` that `is_it` accepts; a new one with `first` as its first key if there is none.
pub(super) fn element<'s>(
    section: &'s mut dyn TableLike,
    key: &str,
    is_it: impl Fn(&dyn TableLike) -> bool,
    first: (&str, &str),
) -> Result<&'s mut dyn TableLike, String> {
    let at = tables(section.get(key)).position(is_it);
    let list = section.entry(key).or_insert(Item::ArrayOfTables(toml_edit::ArrayOfTables::new()));
    let found = match list {
        Item::ArrayOfTables(tables) => {
            let at = at.unwrap_or_else(|| {
                let mut table = Table::new();
                table.insert(first.0, first.1.into());
                tables.push(table);
                tables.len() - 1
            });
            tables.get_mut(at).map(|table| table as &mut dyn TableLike)
        }
        Item::Value(Value::Array(array)) => {
            let at = at.unwrap_or_else(|| {
                array.push(InlineTable::from_iter([(first.0, Value::from(first.1))]));
                array.len() - 1
            });
            array.get_mut(at).and_then(Value::as_inline_table_mut).map(|table| table as &mut dyn TableLike)
        }
        _ => None,
    };
    found.ok_or_else(|| format!("`{key}` is not a list of tables"))
}

/// Sets a value; a comment behind the old one stays.
pub(super) fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    if let Some(old) = table.get_mut(key).and_then(Item::as_value_mut) {
        *value.decor_mut() = old.decor().clone();
        *old = value;
    } else {
        table.insert(key, Item::Value(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"# My box.
version = 1

[[interface]] # the only one
name      = "eth0"
addresses = ["10.0.0.2/8", "10.9.0.2/16"] # old

[[route]]
to  = "default"
via = "10.0.0.1"

[node.lb2]
match     = { mac = "52:54:00:00:00:02" } # the twin
interface = [{ name = "eth0", addresses = ["10.0.0.3/8"] }]
"#;

    fn wish(interface: &str, address: Option<&str>, gateway: Option<&str>) -> SetManagement {
        SetManagement {
            interface: interface.parse().unwrap(),
            address: address.map(|text| text.parse().unwrap()),
            gateway: gateway.map(|text| text.parse().unwrap()),
        }
    }

    fn edited(text: &str, node: Option<&str>, wish: &SetManagement) -> String {
        let mac = "52:54:00:00:00:07".parse().ok();
        let edited = edit(text, node, wish, mac).unwrap();
        let facts = crate::config::NodeFacts { node: node.map(str::to_owned), ..Default::default() };
        crate::config::check(&edited, "edited", &facts).unwrap_or_else(|report| panic!("{edited}\n{report}"));
        edited
    }

    #[test]
    fn only_what_must_change_does() {
        let new = edited(FILE, None, &wish("eth0", Some("10.0.0.9/8"), Some("10.0.0.254")));
        let expected = FILE
            .replace("[\"10.0.0.2/8\", \"10.9.0.2/16\"]", "[\"10.0.0.9/8\", \"10.9.0.2/16\"]")
            .replace("\"10.0.0.1\"", "\"10.0.0.254\"");
        assert_eq!(new, expected);
    }

    #[test]
    fn a_node_changes_its_own_section() {
        let new = edited(FILE, Some("lb2"), &wish("eth0", Some("10.0.0.4/8"), Some("10.0.0.1")));
        let expected =
            FILE.replace("addresses = [\"10.0.0.3/8\"] }", "addresses = [\"10.0.0.4/8\"] , dhcp = false }");
        assert_eq!(new, expected);
    }

    #[test]
    fn dhcp_takes_the_place_of_ipv4_addresses() {
        let file =
            "version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"10.0.0.2/8\", \"2001:db8::2/64\"]\n";
        let new = edited(file, None, &wish("eth0", None, None));
        assert_eq!(new, file.replace("\"10.0.0.2/8\", ", "") + "dhcp = true\n");
        let back = edited(&new, None, &wish("eth0", Some("10.0.0.3/8"), None));
        assert_eq!(back, file.replace("0.2/8", "0.3/8"));
    }

    #[test]
    fn what_is_missing_is_added() {
        let new = edited("version = 1\n", None, &wish("eth1", Some("2001:db8::2/64"), Some("2001:db8::1")));
        let expected = "version = 1\n\n[[interface]]\nname = \"eth1\"\naddresses = [\"2001:db8::2/64\"]\n\n\
                        [[route]]\nto = \"::/0\"\nvia = \"2001:db8::1\"\n";
        assert_eq!(new, expected);
    }

    #[test]
    fn an_interface_is_found_by_its_hardware_address() {
        let file = "version = 1\n[[interface]]\nmac = \"52:54:00:00:00:07\"\ndhcp = true # for now\n";
        let new = edited(file, None, &wish("enp3s0", Some("10.0.0.2/8"), None));
        assert_eq!(
            new,
            "version = 1\n[[interface]]\nmac = \"52:54:00:00:00:07\"\naddresses = [\"10.0.0.2/8\"]\n"
        );
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(edit("version = ", None, &wish("eth0", None, None), None).is_err());
        assert!(edit("interface = 1", None, &wish("eth0", None, None), None).is_err());
        assert!(edit("version = 1", Some("lb2"), &wish("eth0", None, None), None).is_err());
    }
}
