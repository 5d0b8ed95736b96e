"""LED strips whose control cards use the LEDSender2010 protocol: rows of text over UDP, in the card's own fonts."""
