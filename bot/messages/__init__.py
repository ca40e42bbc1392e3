"""Every sentence that an end user sees, in Japanese and in English; the page has its own."""
