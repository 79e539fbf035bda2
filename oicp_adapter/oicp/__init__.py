"""The wire: messages of OICP 2.3, certificates, and the client that speaks to the hub over mutual TLS."""
