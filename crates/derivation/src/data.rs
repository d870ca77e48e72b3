//! What derivation asks for, of L1 and of the L2 chain it builds on. Where it comes from, and how it
//! was checked, is the business of whoever implements this: a hash that was asked for has been held
//! against what came.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes};

use crate::header::Header;

/// L1, up to the head that the claim is about.
pub trait L1Data {
    /// Why something cannot be had. Nothing is decided then.
    type Error;

    /// The header with this hash.
    ///
    /// # Errors
    /// If it cannot be had.
    fn l1_header(&mut self, hash: B256) -> Result<Header, Self::Error>;

    /// The header with this number in the chain that ends with the L1 head; `None` beyond it.
    ///
    /// # Errors
    /// If it cannot be had.
    fn l1_header_by_number(&mut self, number: u64) -> Result<Option<Header>, Self::Error>;

    /// The transactions of a block in their EIP-2718 bytes, in order.
    ///
    /// # Errors
    /// If they cannot be had.
    fn l1_transactions(&mut self, header: &Header) -> Result<Vec<Bytes>, Self::Error>;

    /// The receipts of a block in their EIP-2718 bytes, in order.
    ///
    /// # Errors
    /// If they cannot be had.
    fn l1_receipts(&mut self, header: &Header) -> Result<Vec<Bytes>, Self::Error>;

    /// The 131,072 bytes of a blob that a transaction of the block names; elements may be missing at the
    /// end if they are 0, or if [`elements_used`](crate::blob::elements_used) says that no such blob is
    /// of interest. `index` is its place among all blobs of the block, which old hints need.
    ///
    /// # Errors
    /// If it cannot be had.
    fn blob(
        &mut self,
        header: &Header,
        versioned_hash: B256,
        index: u64,
    ) -> Result<Bytes, Self::Error>;

    /// Who signed `digest`. `r` and `s` are in range and `s` is low; `None` if they are no signature
    /// nevertheless.
    ///
    /// # Errors
    /// If it cannot be found out.
    fn signer(
        &mut self,
        digest: B256,
        parity: bool,
        r: B256,
        s: B256,
    ) -> Result<Option<Address>, Self::Error>;
}

/// The L2 chain, up to the block that is built on.
pub trait L2Data {
    /// Why something cannot be had. Nothing is decided then.
    type Error;

    /// The header with this hash.
    ///
    /// # Errors
    /// If it cannot be had.
    fn l2_header(&mut self, hash: B256) -> Result<Header, Self::Error>;

    /// The hash of the block `number` in the chain that ends with the block `head`, which is later.
    /// There may be a shorter way than from parent to parent.
    ///
    /// # Errors
    /// If it cannot be had.
    fn l2_hash(&mut self, head: B256, number: u64) -> Result<B256, Self::Error> {
        let mut header = self.l2_header(head)?;
        while header.number > number.saturating_add(1) {
            header = self.l2_header(header.parent_hash)?;
        }
        Ok(if header.number > number { header.parent_hash } else { header.hash })
    }

    /// The transactions of a block in their EIP-2718 bytes, in order.
    ///
    /// # Errors
    /// If they cannot be had.
    fn l2_transactions(&mut self, header: &Header) -> Result<Vec<Bytes>, Self::Error>;

    /// The first transaction of a block. There may be a shorter way than to read all.
    ///
    /// # Errors
    /// If it cannot be had.
    fn l2_first_transaction(&mut self, header: &Header) -> Result<Option<Bytes>, Self::Error> {
        Ok(self.l2_transactions(header)?.into_iter().next())
    }
}
