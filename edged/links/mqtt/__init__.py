"""The link to the hall's broker: reconnects for ever; frequent packets are coded here, others by paho and aiomqtt."""
