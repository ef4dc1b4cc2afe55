"""What the tests of several rooms use: real servers, real peers, certificates, deadlines."""
