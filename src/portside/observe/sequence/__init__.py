"""Message sequence diagrams of conversations: for terminals, as pictures (SVG), and as text for documents (Mermaid)."""
