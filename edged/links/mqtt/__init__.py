"""The link to the hall's broker: one connection after another, hot packets by hand, the rest by paho and aiomqtt."""
