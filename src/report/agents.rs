//! The agents of a report: a list in file order, and in JSON a map by name.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};

use super::document::AgentReport;

pub fn serialize<S: Serializer>(agents: &[AgentReport], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(agents.len()))?;
    for agent in agents {
        map.serialize_entry(&agent.name, agent)?;
    }
    map.end()
}

/// Gives agents and instances back their names, which are not in their JSON.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<AgentReport>, D::Error> {
    from.deserialize_map(Named)
}

struct Named;

impl<'de> Visitor<'de> for Named {
    type Value = Vec<AgentReport>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("agents by their names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut agents = Vec::new();
        while let Some((name, mut agent)) = map.next_entry::<String, AgentReport>()? {
            for item in agent.items.iter_mut().flatten() {
                item.name =
                    AgentReport::instance_name(&name, item.key.as_deref().unwrap_or_default());
            }
            agents.push(AgentReport { name, ..agent });
        }
        Ok(agents)
    }
}
