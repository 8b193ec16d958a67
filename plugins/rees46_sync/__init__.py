"""REES46 order-status sync: today's warehouse minus what REES46 has accepted, sent and accounted for."""

VERSION = "0.1.0"
