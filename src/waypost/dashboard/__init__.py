"""The pages: Settings › Integrations › Webhooks, and everything around it.

They read and change through the operations of the API (`waypost.api.inside`) and never in a way of their own.
"""
