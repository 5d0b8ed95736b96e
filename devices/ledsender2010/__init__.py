"""LED strips whose cards the library LEDSender2010 drives: rows of text over UDP, in the card's own fonts."""
